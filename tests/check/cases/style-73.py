"""Pure functions over an immutable training state. numpy float64."""
from functools import reduce
from itertools import islice
from typing import NamedTuple, Iterable, Iterator, Tuple

import numpy as np


class State(NamedTuple):
    W: np.ndarray
    b: np.ndarray
    step: int = 0
    lr: float = 0.1


class Totals(NamedTuple):
    nll: float = 0.0
    hits: int = 0
    n: int = 0

    @property
    def loss(self):
        return self.nll / self.n

    @property
    def acc(self):
        return self.hits / self.n

    def plus(self, other):
        return Totals(*(a + b for a, b in zip(self, other)))


def init_params(seed=0, d=784, k=10, lr=0.1) -> State:
    return State(np.random.default_rng(seed).normal(scale=0.01, size=(d, k)), np.zeros(k), 0, lr)


def net(s: State, X):
    return np.einsum("ni,ik->nk", X.reshape(len(X), -1), s.W, optimize=True) + s.b


def log_softmax(z):
    return z - np.logaddexp.reduce(z, axis=1, keepdims=True)


def softmax(z):
    return np.exp(log_softmax(z))


def cross_entropy(z, y) -> np.ndarray:
    return -log_softmax(z)[np.arange(len(y)), y]


def gradients(s: State, X, y) -> Tuple[np.ndarray, np.ndarray]:
    X = X.reshape(len(X), -1)
    r = softmax(net(s, X))
    np.subtract.at(r, (np.arange(len(y)), y), 1.0)
    return np.einsum("ni,nk->ik", X, r, optimize=True) / len(y), r.mean(axis=0)


def sgd(s: State, grads) -> State:
    dW, db = grads
    return s._replace(W=s.W - s.lr * dW, b=s.b - s.lr * db, step=s.step + 1)


def totals(s: State, batch) -> Totals:
    X, y = batch
    z = net(s, X)
    return Totals(float(cross_entropy(z, y).sum()), int((z.argmax(1) == y).sum()), len(y))


def train_step(carry, batch):
    s, t = carry
    return sgd(s, gradients(s, *batch)), t.plus(totals(s, batch))


def train_epoch(s: State, batches: Iterable) -> Tuple[State, Totals]:
    return reduce(train_step, batches, (s, Totals()))


def evaluate(s: State, batches: Iterable) -> Totals:
    return reduce(lambda t, batch: t.plus(totals(s, batch)), batches, Totals())


def epochs(s: State, X, y, batch_size=256, seed=0) -> Iterator[Tuple[State, Totals]]:
    """endless; take as many as you want:  for s, t in islice(epochs(...), 10)"""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(y))
        parts = [order[i:i + batch_size] for i in range(0, len(y), batch_size)]
        s, t = train_epoch(s, ((X[p], y[p]) for p in parts))
        yield s, t


def fit(X, y, n_epochs=10, **kw):
    *_, (s, _) = islice(epochs(init_params(), X, y, **kw), n_epochs)
    return s
