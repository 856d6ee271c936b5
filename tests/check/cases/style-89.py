"""Tiny "framework" in NumPy: layers with forward/backward, loss object, optimiser object."""
import numpy as np


class Parameter:
    def __init__(self, value):
        self.value = value
        self.grad = np.zeros_like(value)

    def zero_grad(self):
        self.grad[...] = 0


class Linear:
    def __init__(self, n_in, n_out, rng=None):
        rng = rng or np.random.default_rng()
        bound = 1 / np.sqrt(n_in)
        self.weight = Parameter(rng.uniform(-bound, bound, (n_out, n_in)))
        self.bias = Parameter(np.zeros(n_out))
        self._x = None

    def forward(self, x):
        self._x = x
        return x @ self.weight.value.T + self.bias.value

    def backward(self, grad_out):
        self.weight.grad += grad_out.T @ self._x
        self.bias.grad += grad_out.sum(axis=0)
        return grad_out @ self.weight.value

    def parameters(self):
        return [self.weight, self.bias]


class Flatten:
    def forward(self, x):
        self._shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad_out):
        return grad_out.reshape(self._shape)

    def parameters(self):
        return []


class Sequential:
    def __init__(self, *layers):
        self.layers = layers

    def __call__(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]


class SoftmaxCrossEntropy:
    """mean over the batch"""

    def forward(self, logits, y):
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log_z = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        self._logp = shifted - log_z
        self._y = y
        return -self._logp[np.arange(len(y)), y].mean()

    def backward(self):
        g = np.exp(self._logp)
        g[np.arange(len(self._y)), self._y] -= 1.0
        return g / len(self._y)

    __call__ = forward


class SGD:
    def __init__(self, params, lr=0.1):
        self.params, self.lr = list(params), lr

    def step(self):
        for p in self.params:
            p.value -= self.lr * p.grad

    def zero_grad(self):
        for p in self.params:
            p.zero_grad()


def build_model(seed=0):
    return Sequential(Flatten(), Linear(784, 10, np.random.default_rng(seed)))


def iterate_minibatches(X, y, batch_size, rng=None):
    idx = np.arange(len(X)) if rng is None else rng.permutation(len(X))
    for chunk in np.array_split(idx, np.arange(batch_size, len(X), batch_size)):
        yield X[chunk], y[chunk]


def fit_epoch(model, loss_fn, opt, batches):
    total = count = 0
    for xb, yb in batches:
        opt.zero_grad()
        value = loss_fn(model(xb), yb)
        model.backward(loss_fn.backward())
        opt.step()
        total += value * len(yb)
        count += len(yb)
    return total / count


def accuracy(model, batches):
    hits = [(model(xb).argmax(-1) == yb) for xb, yb in batches]
    return np.concatenate(hits).mean()


if __name__ == "__main__":
    data = np.load("fashion.npz")
    model, rng = build_model(), np.random.default_rng(1)
    opt, crit = SGD(model.parameters(), 0.2), SoftmaxCrossEntropy()
    for e in range(10):
        print(e, fit_epoch(model, crit, opt, iterate_minibatches(data["xtr"] / 255., data["ytr"], 100, rng)),
              accuracy(model, iterate_minibatches(data["xte"] / 255., data["yte"], 1000)))
