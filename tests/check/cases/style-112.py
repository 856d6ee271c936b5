"""Every layer on its own, chain rule step by step (full softmax Jacobian)."""
import numpy as np


class Flatten:
    params = ()

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(x.shape[0], -1)

    def backward(self, g):
        return g.reshape(self.shape)


class Dense:
    def __init__(self, d, k, seed=0):
        r = np.random.RandomState(seed)
        self.W = r.uniform(-0.03, 0.03, (d, k))
        self.b = np.zeros(k)
        self.params = ("W", "b")

    def forward(self, x):
        self.x = x
        return x.dot(self.W) + self.b

    def backward(self, g):
        self.dW = self.x.T.dot(g)
        self.db = g.sum(0)
        return g.dot(self.W.T)


class Softmax:
    params = ()

    def forward(self, z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.s = e / e.sum(axis=1, keepdims=True)
        return self.s

    def backward(self, g):
        # J = diag(s) - s s^T for each sample; J is symmetric, so J g is enough
        J = np.einsum("ni,ij->nij", self.s, np.eye(self.s.shape[1])) - np.einsum("ni,nj->nij", self.s, self.s)
        return np.einsum("nij,nj->ni", J, g)


class CrossEntropy:
    def forward(self, s, y):
        self.s, self.Y = s, np.eye(s.shape[1])[y]
        return -np.log((self.s * self.Y).sum(axis=1)).mean()

    def backward(self):
        return -self.Y / np.maximum(self.s, np.finfo(float).tiny) / len(self.Y)


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g

    def update(self, lr):
        for layer in self.layers:
            for name in layer.params:
                setattr(layer, name, getattr(layer, name) - lr * getattr(layer, "d" + name))


def build():
    return Sequential(Flatten(), Dense(784, 10), Softmax())


net = build()
criterion = CrossEntropy()


def train_epoch(net, criterion, data_iter, lr=0.1):
    losses, counts = [], []
    for X, y in data_iter:
        losses.append(criterion.forward(net.forward(X), y))
        counts.append(len(y))
        net.backward(criterion.backward())
        net.update(lr)
    return float(np.dot(losses, counts) / np.sum(counts))


def accuracy(net, X, y):
    return float((net.forward(X).argmax(1) == y).mean())
