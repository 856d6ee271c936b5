import numpy as np


class Linear:
    def __init__(self, d_in, d_out):
        bound = 1 / np.sqrt(d_in)
        self.W = np.random.uniform(-bound, bound, (d_out, d_in))
        self.b = np.zeros(d_out)
        self.zero_grad()

    def zero_grad(self):
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.cache = x.reshape(x.shape[0], -1)
        return self.cache @ self.W.T + self.b

    def backward(self, g):
        self.dW += g.T @ self.cache
        self.db += g.sum(0)
        return g @ self.W


class LogSoftmax:
    def forward(self, z):
        z = z - z.max(1, keepdims=True)
        self.out = z - np.log(np.exp(z).sum(1, keepdims=True))
        return self.out

    def backward(self, g):
        return g - np.exp(self.out) * g.sum(1, keepdims=True)


class NLL:
    def forward(self, logp, y):
        self.shape, self.y = logp.shape, y
        return -logp[np.arange(y.size), y].mean()

    def backward(self):
        g = np.zeros(self.shape)
        g[np.arange(self.y.size), self.y] = -1.0 / self.y.size
        return g


class SoftmaxCELoss:
    """LogSoftmax followed by NLL."""
    def __init__(self):
        self.ls, self.nll = LogSoftmax(), NLL()

    def forward(self, z, y):
        return self.nll.forward(self.ls.forward(z), y)

    def backward(self):
        return self.ls.backward(self.nll.backward())


class SGD:
    def __init__(self, layers, lr=0.1):
        self.layers, self.lr = layers, lr

    def step(self):
        for l in self.layers:
            l.W -= self.lr * l.dW
            l.b -= self.lr * l.db
            l.zero_grad()


def train_epoch(layer, criterion, optimizer, data_iter):
    tot = cnt = 0
    for X, y in data_iter:
        tot += len(y) * criterion.forward(layer.forward(X), y)
        cnt += len(y)
        layer.backward(criterion.backward())
        optimizer.step()
    return tot / cnt


def evaluate_accuracy(layer, data_iter):
    res = np.concatenate([layer.forward(X).argmax(1) == y for X, y in data_iter])
    return res.mean()
