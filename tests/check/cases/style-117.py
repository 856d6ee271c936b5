import numpy as np


class Linear:
    def __init__(self, in_dim=784, out_dim=10):
        self.W = np.random.randn(in_dim, out_dim) * 0.01
        self.b = np.zeros(out_dim)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    @property
    def params(self):
        return [self.W, self.b]

    @property
    def grads(self):
        return [self.dW, self.db]

    def forward(self, X):
        self.X = X.reshape(len(X), -1)
        return self.X.dot(self.W) + self.b

    def backward(self, dout):
        # like in pytorch: gradients add up until zero_grad()
        self.dW += self.X.T.dot(dout)
        self.db += dout.sum(axis=0)
        return dout.dot(self.W.T)


class CrossEntropy:
    def softmax(self, z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def forward(self, z, y):
        self.y = y
        self.p = self.softmax(z)
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self):
        dz = self.p.copy()
        dz[np.arange(len(self.y)), self.y] -= 1.0
        return dz / len(self.y)


class SGD:
    def __init__(self, layer, lr):
        self.layer = layer
        self.lr = lr

    def zero_grad(self):
        for g in self.layer.grads:
            g[...] = 0.0

    def step(self):
        for p, g in zip(self.layer.params, self.layer.grads):
            p -= self.lr * g


def train_epoch(layer, criterion, optimizer, data_iter):
    total, count = 0.0, 0
    for X, y in data_iter:
        optimizer.zero_grad()
        total += criterion.forward(layer.forward(X), y) * len(y)
        count += len(y)
        layer.backward(criterion.backward())
        optimizer.step()
    return total / count


def accuracy(layer, X, y):
    return (layer.forward(X).argmax(axis=1) == y).mean()
