"""tinynn: just enough layers for MNIST. One linear layer is all we need for now."""
import numpy as np


class Parameter:
    def __init__(self, value):
        self.value = value
        self.grad = np.zeros_like(value)
        self.velocity = np.zeros_like(value)


class Linear:
    def __init__(self, n_in, n_out, rng=None):
        rng = rng or np.random.default_rng(0)
        self.W = Parameter(rng.standard_normal((n_in, n_out)) / np.sqrt(n_in))
        self.b = Parameter(np.zeros(n_out))
        self._x = None

    def forward(self, x):
        self._x = x
        return x @ self.W.value + self.b.value

    def backward(self, dout):
        self.W.grad[...] = self._x.T @ dout
        self.b.grad[...] = dout.sum(axis=0)
        return dout @ self.W.value.T

    def parameters(self):
        return [self.W, self.b]


class Flatten:
    def forward(self, x):
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dout):
        return dout.reshape(self._shape)

    def parameters(self):
        return []


class SoftmaxCrossEntropy:
    def forward(self, logits, y):
        z = logits - logits.max(axis=1, keepdims=True)
        logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        self._p, self._y = np.exp(logp), y
        return -logp[np.arange(len(y)), y].mean()

    def backward(self):
        g = self._p.copy()
        g[np.arange(len(g)), self._y] -= 1
        return g / len(g)


class Momentum:
    def __init__(self, params, lr=0.05, mu=0.9):
        self.params, self.lr, self.mu = params, lr, mu

    def step(self):
        for p in self.params:
            p.velocity *= self.mu
            p.velocity -= self.lr * p.grad
            p.value += p.velocity


class Model:
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for l in self.layers:
            x = l.forward(x)
        return x

    def backward(self, dout):
        for l in reversed(self.layers):
            dout = l.backward(dout)
        return dout

    def parameters(self):
        return [p for l in self.layers for p in l.parameters()]


def softmax_regression():
    return Model(Flatten(), Linear(784, 10))


def batches(X, y, size, rng):
    idx = rng.permutation(len(y))
    for s in range(0, len(y), size):
        j = idx[s:s + size]
        yield X[j], y[j]


def train_epoch(model, loss, opt, X, y, size=64, rng=np.random.default_rng(1)):
    tot = 0.0
    for xb, yb in batches(X, y, size, rng):
        tot += loss.forward(model.forward(xb), yb) * len(yb)
        model.backward(loss.backward())
        opt.step()
    return tot / len(y)


def accuracy(model, X, y):
    return float((model.forward(X).argmax(1) == y).mean())
