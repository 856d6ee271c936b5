"""Bias trick: a column of ones is put in front of the pixels, so there is only one matrix theta (785, 10)."""
import numpy as np
from collections import namedtuple

History = namedtuple("History", "cost train_acc test_acc")
K = 10


def add_bias(X):
    X = X.reshape(X.shape[0], -1).astype(np.float64)
    return np.hstack([np.ones((X.shape[0], 1)), X])


def init_params(n_features=784, k=K):
    # zeros are fine, the problem is convex
    return np.zeros((n_features + 1, k))


def logsumexp(a):
    m = a.max(axis=1, keepdims=True)
    return m + np.log(np.sum(np.exp(a - m), axis=1, keepdims=True))


def softmax(a):
    return np.exp(a - logsumexp(a))


def h(theta, X):
    """hypothesis (probabilities) for raw X"""
    return softmax(add_bias(X) @ theta)


def one_hot(y, k=K):
    return (np.arange(k)[None, :] == np.asarray(y)[:, None]).astype(float)


def cost(theta, X, y, lam=0.0):
    a = add_bias(X) @ theta
    T = one_hot(y, theta.shape[1])
    data = np.sum(T * (logsumexp(a) - a)) / len(y)
    return data + lam / 2 * np.sum(theta[1:] ** 2)       # bias is not penalised


def gradients(theta, X, y, lam=0.0):
    Xb = add_bias(X)
    g = Xb.T @ (softmax(Xb @ theta) - one_hot(y, theta.shape[1])) / len(y)
    g[1:] += lam * theta[1:]
    return g


def numerical_gradient(theta, X, y, where, eps=1e-5):
    """central difference in the given (row, col) places; for tests"""
    out = []
    for ij in where:
        up, dn = theta.copy(), theta.copy()
        up[ij] += eps
        dn[ij] -= eps
        out.append((cost(up, X, y) - cost(dn, X, y)) / (2 * eps))
    return np.array(out)


def predict(theta, X):
    return np.argmax(add_bias(X) @ theta, axis=1)


def accuracy(theta, X, y):
    return np.count_nonzero(predict(theta, X) == y) / len(y)


def minibatches(X, y, size, rng):
    p = rng.permutation(len(y))
    X, y = X[p], y[p]
    yield from ((X[i:i + size], y[i:i + size]) for i in range(0, len(y), size))


def train(X, y, X_test, y_test, alpha=0.1, epochs=10, batch=256, lam=0.0, seed=0):
    rng = np.random.default_rng(seed)
    theta = init_params(int(np.prod(X.shape[1:])))
    hist = History([], [], [])
    for _ in range(epochs):
        for xb, yb in minibatches(X, y, batch, rng):
            theta -= alpha * gradients(theta, xb, yb, lam)
        hist.cost.append(cost(theta, X, y, lam))
        hist.train_acc.append(accuracy(theta, X, y))
        hist.test_acc.append(accuracy(theta, X_test, y_test))
    return theta, hist


def plot(hist):
    import matplotlib.pyplot as plt
    plt.plot(hist.cost, label="cost")
    plt.plot(hist.test_acc, "--", label="test acc")
    plt.legend()
    plt.show()
