# Lecture 4 demo -- backprop through a softmax classifier "by hand".
# torch is used only as an array library here (no autograd).
import torch


class Layer:
    def forward(self, x):
        raise NotImplementedError

    def backward(self, d):
        raise NotImplementedError

    def __call__(self, *a):
        return self.forward(*a)


class Affine(Layer):
    def __init__(self, d_in=784, d_out=10):
        g = torch.Generator().manual_seed(7)
        self.W = 0.01 * torch.randn(d_out, d_in, generator=g)
        self.b = torch.zeros(d_out)
        self.dW = None
        self.db = None

    def forward(self, x):
        self.cache = x.flatten(1)
        return self.cache @ self.W.T + self.b

    def backward(self, d):
        self.dW = d.T @ self.cache
        self.db = d.sum(0)
        return d @ self.W


class SoftmaxWithLoss(Layer):
    def __init__(self):
        self.p = None
        self.t = None

    def forward(self, o, t):
        o = o - o.amax(1, keepdim=True)
        self.p = o.exp() / o.exp().sum(1, keepdim=True)
        self.t = t
        return -self.p[torch.arange(len(t)), t].log().mean()

    def backward(self, d=1.0):
        onehot = torch.nn.functional.one_hot(self.t, self.p.shape[1])
        return d * (self.p - onehot) / len(self.t)


class SGD:
    def __init__(self, layers, lr):
        self.layers, self.lr = layers, lr

    def step(self):
        for lay in self.layers:
            lay.W.add_(lay.dW, alpha=-self.lr)
            lay.b.add_(lay.db, alpha=-self.lr)


def train_epoch(layer, criterion, optimizer, data_iter):
    losses, sizes = [], []
    for x, t in data_iter:
        losses.append(criterion(layer(x), t).item())
        layer.backward(criterion.backward())
        optimizer.step()
        sizes.append(len(t))
    return sum(l * s for l, s in zip(losses, sizes)) / sum(sizes)


def accuracy(layer, data_iter):
    good, total = 0, 0
    for x, t in data_iter:
        good += int((layer(x).argmax(1) == t).sum())
        total += len(t)
    return good / total
