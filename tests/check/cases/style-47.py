import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def add_bias(X):
    return np.hstack([np.ones((X.shape[0], 1)), X])


def softmax(scores):
    """rows are samples"""
    s = scores - np.amax(scores, axis=1)[:, np.newaxis]
    np.exp(s, out=s)
    return s / s.sum(axis=1)[:, np.newaxis]


def cost(theta, X, y, lam=0.0):
    m = len(y)
    P = softmax(add_bias(X) @ theta)
    J = -np.log(P[np.arange(m), y]).sum() / m
    return J + lam / (2 * m) * (theta[1:] ** 2).sum()


def gradient(theta, X, y, lam=0.0):
    m = len(y)
    Xb = add_bias(X)
    P = softmax(Xb @ theta)
    P[np.arange(m), y] -= 1
    grad = Xb.T @ P / m
    grad[1:] += lam / m * theta[1:]
    return grad


def predict(theta, X):
    return np.argmax(add_bias(X) @ theta, axis=1)


def gradient_descent(theta, X, y, alpha=0.1, num_iters=100, lam=0.0):
    history = []
    for _ in range(num_iters):
        theta = theta - alpha * gradient(theta, X, y, lam)
        history.append(cost(theta, X, y, lam))
    return theta, history
