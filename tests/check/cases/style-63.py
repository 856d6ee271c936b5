"""Softmax regression as pure functions.

No globals that change, no classes.  I normally write JAX; here `grad` is
replaced by the formula and `lax.scan` by functools.reduce.
"""
from functools import reduce
from typing import NamedTuple

import numpy as np


class Params(NamedTuple):
    W: np.ndarray
    b: np.ndarray


def init_params(seed: int = 0) -> Params:
    key = np.random.default_rng(seed)
    return Params(W=1e-2 * key.standard_normal((784, 10)), b=np.zeros((10,)))


def one_hot(y, k=10, dtype=np.float64):
    return np.asarray(y[:, None] == np.arange(k), dtype)


def logsumexp(a, axis=-1):
    m = a.max(axis=axis, keepdims=True)
    return m + np.log(np.exp(a - m).sum(axis=axis, keepdims=True))


def log_softmax(logits):
    return logits - logsumexp(logits)


def softmax(logits):
    return np.exp(log_softmax(logits))


def predict(W, b, X):
    return X.reshape(X.shape[0], -1) @ W + b


def loss(W, b, X, y):
    return -np.mean(np.sum(one_hot(y) * log_softmax(predict(W, b, X)), axis=-1))


def gradients(W, b, X, y):
    cotangent = (softmax(predict(W, b, X)) - one_hot(y)) / X.shape[0]
    return Params(W=X.reshape(X.shape[0], -1).T @ cotangent, b=cotangent.sum(0))


def accuracy(W, b, X, y):
    return np.mean(predict(W, b, X).argmax(-1) == y)


def step(W, b, X, y, lr):
    W_new = W - lr * gradients(W, b, X, y).W
    b_new = b - lr * gradients(W, b, X, y).b
    return Params(W_new, b_new)


def train_epoch(W, b, data_iter, lr):
    body = lambda carry, batch: step(*carry, *batch, lr)
    return reduce(body, data_iter, Params(W, b))


def fit(params, make_batches, lr=0.1, epochs=10):
    return reduce(lambda p, _: train_epoch(*p, make_batches(), lr), range(epochs), params)
