import numpy as np

np.random.seed(7)
params = {"W": np.random.randn(784, 10) * 0.01, "b": np.zeros((1, 10))}


def forward(X, params):
    cache = {"X": X}
    Z = X @ params["W"] + params["b"]
    Z = Z - Z.max(axis=1, keepdims=True)
    cache["P"] = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return cache["P"], cache


def compute_loss(P, y):
    return -np.log(P[np.arange(len(y)), y]).mean()


def backward(cache, y):
    P, X = cache["P"], cache["X"]
    dZ = P.copy()
    dZ[np.arange(len(y)), y] -= 1
    dZ /= len(y)
    return {"W": X.T @ dZ, "b": dZ.sum(axis=0, keepdims=True)}


def update(params, grads, lr):
    for k in params:
        params[k] -= lr * grads[k]
    return params


def train_epoch(params, batches, lr=0.1):
    seen, total = 0, 0.0
    for X, y in batches:
        P, cache = forward(X, params)
        total += compute_loss(P, y) * len(y)
        seen += len(y)
        params = update(params, backward(cache, y), lr)
    return params, total / seen
