"""
All parameters live in one flat vector theta (like scipy.optimize wants it):
theta = [W.ravel(), b],  W is (784, 10).
"""
import numpy as np

D, K = 784, 10


def pack(W, b):
    return np.concatenate([np.ravel(W), np.ravel(b)])


def unpack(theta):
    return theta[:D * K].reshape(D, K), theta[D * K:]


def init_params(seed=None):
    rng = np.random.RandomState(seed)
    return pack(rng.uniform(-0.01, 0.01, (D, K)), np.zeros(K))


def softmax(z, axis=-1):
    e = np.exp(z - np.max(z, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def log_likelihood(theta, X, y):
    """sum over the samples"""
    W, b = unpack(theta)
    z = X @ W + b
    z -= z.max(axis=1, keepdims=True)
    return np.sum(z[np.arange(len(y)), y]) - np.sum(np.log(np.sum(np.exp(z), axis=1)))


def loss(theta, X, y):
    return -log_likelihood(theta, X, y) / len(y)


def score(theta, X, y):
    """gradient of the log likelihood (points uphill)"""
    W, b = unpack(theta)
    R = np.zeros((len(y), K))
    R[np.arange(len(y)), y] = 1
    R -= softmax(X @ W + b)
    return pack(X.T @ R, R.sum(axis=0))


def gradients(theta, X, y):
    return -score(theta, X, y) / len(y)


def numerical_gradient(theta, X, y, coords, eps=1e-5):
    out = []
    for c in coords:
        d = np.zeros_like(theta)
        d[c] = eps
        out.append((loss(theta + d, X, y) - loss(theta - d, X, y)) / (2 * eps))
    return np.array(out)


def accuracy(theta, X, y):
    W, b = unpack(theta)
    return (np.argmax(X @ W + b, axis=1) == y).mean()


def step(theta, X, y, lr):
    # gradient ASCENT on the mean log likelihood = descent on the loss
    return theta + lr * score(theta, X, y) / len(y)


def train_epoch(theta, data_iter, lr):
    for X, y in data_iter:
        theta = step(theta, X.reshape(len(X), D), y, lr)
    return theta
