import numpy as np

# cs231n assignment 1 leftovers, moved to MNIST and to a dict of parameters


def init_params(D=784, C=10, seed=0, scale=1e-2):
    rng = np.random.default_rng(seed)
    return {"W": scale * rng.standard_normal((D, C)), "b": np.zeros(C)}


def scores(params, X):
    X = X.reshape(X.shape[0], -1)
    return X.dot(params["W"]) + params["b"]


def softmax(s):
    s = s - np.amax(s, axis=1)[:, np.newaxis]
    e = np.exp(s)
    return e / np.sum(e, axis=1)[:, np.newaxis]


def loss(params, X, y, reg=1e-3):
    """mean cross entropy + L2 penalty 0.5 * reg * ||W||^2 (bias not penalised)"""
    s = scores(params, X)
    s = s - s.max(axis=1, keepdims=True)
    data_loss = np.mean(np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(y)), y])
    return data_loss + 0.5 * reg * np.sum(params["W"] ** 2)


def gradients(params, X, y, reg=1e-3):
    N = X.shape[0]
    X = X.reshape(N, -1)
    p = softmax(scores(params, X))
    p[range(N), y] -= 1
    p /= N
    grads = {}
    grads["W"] = X.T.dot(p) + reg * params["W"]
    grads["b"] = p.sum(axis=0)
    return grads


def sgd(params, grads, lr):
    for name in params:
        params[name] -= lr * grads[name]


def train_epoch(params, data_iter, lr=0.1, reg=1e-3):
    history = []
    for X, y in data_iter:
        history.append(loss(params, X, y, reg))
        sgd(params, gradients(params, X, y, reg), lr)
    return history


def predict(params, X):
    return np.argmax(scores(params, X), axis=1)


def accuracy(params, X, y):
    return np.mean(predict(params, X) == y)
