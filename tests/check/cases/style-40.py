"""Multinomial logistic regression with explicit gradients (NumPy only).

Objective, for a batch of ``n`` samples::

    L(W, b) = 1/n * sum_i [ logsumexp(s_i) - s_i[y_i] ]  +  reg/2 * ||W||^2

with ``s_i = x_i W + b``. The bias is not regularised.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Tuple

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Config:
    n_features: int = 28 * 28
    n_classes: int = 10
    lr: float = 0.1
    reg: float = 1e-3
    init_scale: float = 0.01


CFG = Config()


def init_params(seed: int = 0) -> Tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    W = CFG.init_scale * rng.standard_normal((CFG.n_features, CFG.n_classes))
    return W, np.zeros(CFG.n_classes)


def one_hot(y: Array, k: int = CFG.n_classes) -> Array:
    return (np.asarray(y)[:, None] == np.arange(k)[None, :]).astype(float)


def logsumexp(s: Array) -> Array:
    m = s.max(axis=1)
    return m + np.log(np.einsum("nk->n", np.exp(s - m[:, None])))


def softmax(s: Array) -> Array:
    return np.exp(s - logsumexp(s)[:, None])


def scores(W: Array, b: Array, X: Array) -> Array:
    X = np.asarray(X).reshape(len(X), -1)
    return np.einsum("nd,dk->nk", X, W, optimize=True) + b


def loss(W: Array, b: Array, X: Array, y: Array, reg: float = CFG.reg) -> float:
    s = scores(W, b, X)
    picked = np.take_along_axis(s, np.asarray(y)[:, None], axis=1)[:, 0]
    data_term = np.mean(logsumexp(s) - picked)
    return float(data_term + 0.5 * reg * np.vdot(W, W))


def gradients(W: Array, b: Array, X: Array, y: Array, reg: float = CFG.reg) -> Tuple[Array, Array]:
    X = np.asarray(X).reshape(len(X), -1)
    residual = (softmax(scores(W, b, X)) - one_hot(y)) / len(X)
    dW = np.einsum("nd,nk->dk", X, residual, optimize=True) + reg * W
    db = np.einsum("nk->k", residual)
    return dW, db


def accuracy(W: Array, b: Array, X: Array, y: Array) -> float:
    return float(np.mean(scores(W, b, X).argmax(axis=1) == np.asarray(y)))


def step(W: Array, b: Array, dW: Array, db: Array, lr: float = CFG.lr) -> Tuple[Array, Array]:
    """One descent step. Returns new arrays, the arguments stay as they were."""
    return W - lr * dW, b - lr * db


def train_epoch(W: Array, b: Array, data_iter: Iterable, lr: float = CFG.lr) -> Tuple[Array, Array]:
    for X, y in data_iter:
        W, b = step(W, b, *gradients(W, b, X, y), lr)
    return W, b
