# softmax.R -> softmax.py
# (multinomial logistic regression, what nnet::multinom does, but by hand)
import numpy as np

n_pixels = 784
n_levels = 10


def init_params(seed=123):
    np.random.seed(seed)
    W = np.random.normal(loc=0, scale=0.01, size=(n_pixels, n_levels))
    b = np.repeat(0.0, n_levels)
    return W, b


def as_matrix(X):
    return np.asarray(X, dtype=np.float64).reshape(len(X), n_pixels)


def linear_predictor(W, b, X):
    return as_matrix(X).dot(W) + b


def softmax(eta):
    eta = eta - np.apply_along_axis(np.max, 1, eta)[:, np.newaxis]
    e = np.exp(eta)
    row_sums = e.sum(axis=1)
    return e / row_sums[:, np.newaxis]


def one_hot(y):
    """like model.matrix(~ factor(y) - 1)"""
    y = np.asarray(y)
    indicator = np.zeros((len(y), n_levels))
    for i in range(len(y)):
        indicator[i, y[i]] = 1
    return indicator


def loss(W, b, X, y):
    """negative log-likelihood per observation"""
    eta = linear_predictor(W, b, X)
    eta = eta - eta.max(axis=1)[:, np.newaxis]
    log_p = eta - np.log(np.exp(eta).sum(axis=1))[:, np.newaxis]
    return -(one_hot(y) * log_p).sum() / len(y)


def gradients(W, b, X, y):
    p = softmax(linear_predictor(W, b, X))
    residual = p - one_hot(y)
    dW = as_matrix(X).T.dot(residual) / len(y)
    db = residual.mean(axis=0)
    return dW, db


def predict(W, b, X):
    return np.argmax(linear_predictor(W, b, X), axis=1)


def accuracy(W, b, X, y):
    return np.mean(predict(W, b, X) == np.asarray(y))


def step(W, b, X, y, lr):
    dW, db = gradients(W, b, X, y)
    return W - lr * dW, b - lr * db


def train_epoch(W, b, data_iter, lr=0.1):
    for X, y in data_iter:
        W, b = step(W, b, X, y, lr)
    return W, b
