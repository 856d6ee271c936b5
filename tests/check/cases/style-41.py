"""Everything here is column-per-sample (as in the papers): X is (784, n), scores are (10, n).

train_epoch() takes ordinary batches (n, ...) and turns them on its own.
"""
import numpy as np


class Linear:
    """z = W x + b, with W (10, 784) and b (10, 1)"""

    def __init__(self, n_in: int = 784, n_out: int = 10, seed: int = 0):
        self.W = np.random.default_rng(seed).normal(scale=n_in ** -0.5, size=(n_out, n_in))
        self.b = np.zeros((n_out, 1))
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)
        self._x = None

    def forward(self, x):
        self._x = x
        return self.W @ x + self.b

    __call__ = forward

    def backward(self, delta):
        """delta is dL/dz, (10, n)"""
        np.matmul(delta, self._x.T, out=self.dW)
        np.sum(delta, axis=1, keepdims=True, out=self.db)
        return self.W.T @ delta


class SoftmaxCrossEntropy:
    """mean over the columns of  logsumexp(z) - z[y]"""

    def forward(self, z, y):
        shifted = z - z.max(axis=0)
        log_norm = np.log(np.exp(shifted).sum(axis=0))
        self.log_p = shifted - log_norm
        self.y = np.asarray(y)
        return -self.log_p[self.y, np.arange(self.y.size)].mean()

    __call__ = forward

    def backward(self):
        onehot = np.equal.outer(np.arange(self.log_p.shape[0]), self.y)
        return (np.exp(self.log_p) - onehot) / self.y.size


class SGD:
    """v <- mu v - lr g ;  p <- p + v"""

    def __init__(self, layer, lr: float = 0.05, momentum: float = 0.9):
        self.layer, self.lr, self.mu = layer, lr, momentum
        self.v = {name: np.zeros_like(getattr(layer, name)) for name in ("W", "b")}

    def step(self):
        for name, v in self.v.items():
            v *= self.mu
            v -= self.lr * getattr(self.layer, "d" + name)
            param = getattr(self.layer, name)
            param += v


def accuracy(z, y):
    return np.count_nonzero(z.argmax(axis=0) == y) / len(y)


def train_epoch(layer, criterion, optimizer, data_iter):
    rows = []
    for X, y in data_iter:
        X, y = np.asarray(X), np.asarray(y)
        x = X.reshape(len(X), -1).T
        z = layer(x)
        rows.append((criterion(z, y), accuracy(z, y), len(y)))
        layer.backward(criterion.backward())
        optimizer.step()
    L, A, n = np.array(rows).T
    return np.average(L, weights=n), np.average(A, weights=n)


def evaluate_accuracy(layer, data_iter):
    n = hit = 0
    for X, y in data_iter:
        z = layer(np.asarray(X).reshape(len(X), -1).T)
        hit += np.count_nonzero(z.argmax(axis=0) == np.asarray(y))
        n += len(y)
    return hit / n


layer = Linear()
criterion = SoftmaxCrossEntropy()
optimizer = SGD(layer)
