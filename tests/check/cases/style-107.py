# softmax.py  (my solution of the softmax part, MNIST instead of CIFAR-10)
# bias trick: X has a last column of ones, W is (785, 10)
import numpy as np

D, C = 784, 10
reg = 1e-3
lr = 0.1
batch_size = 200


def add_ones(X):
    X = X.reshape(X.shape[0], -1)
    return np.hstack([X, np.ones((X.shape[0], 1))])


def init_params(seed=0):
    rng = np.random.RandomState(seed)
    W = 0.001 * rng.randn(D + 1, C)
    W[-1] = 0
    return W


def softmax(scores):
    scores = scores - np.max(scores, axis=1, keepdims=True)
    e = np.exp(scores)
    return e / np.sum(e, axis=1, keepdims=True)


def loss(W, X, y, reg=reg):
    """mean data loss + 0.5 * reg * ||W||^2 (last row of W is the bias and is left alone)"""
    N = X.shape[0]
    p = softmax(add_ones(X) @ W)
    data_loss = -np.log(p[np.arange(N), y]).sum() / N
    reg_loss = 0.5 * reg * np.sum(W[:-1] * W[:-1])
    return data_loss + reg_loss


def gradients(W, X, y, reg=reg):
    N = X.shape[0]
    Xb = add_ones(X)
    dscores = softmax(Xb @ W)
    dscores[np.arange(N), y] -= 1
    dscores /= N
    dW = Xb.T.dot(dscores)
    dW[:-1] += reg * W[:-1]
    return dW


def predict(W, X):
    return np.argmax(add_ones(X).dot(W), axis=1)


def accuracy(W, X, y):
    return np.mean(predict(W, X) == y)


def step(W, dW, lr):
    W -= lr * dW
    return W


def train_epoch(W, data_iter, lr=lr, reg=reg):
    history = []
    for X, y in data_iter:
        history.append(loss(W, X, y, reg))
        W = step(W, gradients(W, X, y, reg), lr)
    return W, history
