# Exercise 1: "naive" softmax loss with explicit loops, no vectorisation!
from math import exp, log

import numpy as np


def softmax(scores):
    """one example or a batch of examples"""
    scores = np.atleast_2d(scores)
    out = np.empty(scores.shape)
    for i, row in enumerate(scores):
        big = max(row)
        e = [exp(s - big) for s in row]
        total = sum(e)
        for k in range(len(row)):
            out[i, k] = e[k] / total
    return out


def loss(W, b, X, y):
    total = 0.0
    for xi, yi in zip(X, y):
        s = xi @ W + b
        big = s.max()
        total += big + log(sum(exp(v - big) for v in s)) - s[yi]
    return total / len(X)


def gradients(W, b, X, y):
    dW, db = np.zeros(W.shape), np.zeros(b.shape)
    n_classes = W.shape[1]
    for xi, yi in zip(X, y):
        p = softmax(xi @ W + b)[0]
        for k in range(n_classes):
            delta = p[k] - 1.0 if k == yi else p[k]
            dW[:, k] += delta * xi / len(X)
            db[k] += delta / len(X)
    return dW, db


def accuracy(W, b, X, y):
    ok = 0
    for xi, yi in zip(X, y):
        ok += int(np.argmax(xi @ W + b) == yi)
    return ok / len(X)
