"""Homework 1 Q3: softmax classifier (loops version and vectorized version)."""
import numpy as np


def softmax_loss_naive(W, X, y, reg):
    """
    Inputs:
    - W: (D, C)
    - X: (N, D)
    - y: (N,) with y[i] = c
    - reg: regularization strength
    Returns (loss, dW)
    """
    loss = 0.0
    dW = np.zeros_like(W)
    num_train, num_classes = X.shape[0], W.shape[1]

    for i in range(num_train):
        f = X[i].dot(W)
        f -= np.max(f)
        denom = np.sum(np.exp(f))
        loss += -f[y[i]] + np.log(denom)
        for c in range(num_classes):
            p = np.exp(f[c]) / denom
            dW[:, c] += (p - (c == y[i])) * X[i]

    loss = loss / num_train + reg * np.sum(W * W)
    dW = dW / num_train + 2 * reg * W
    return loss, dW


def softmax_loss_vectorized(W, X, y, reg):
    num_train = X.shape[0]
    f = X.dot(W)
    f -= f.max(axis=1)[:, np.newaxis]
    sum_exp = np.exp(f).sum(axis=1)
    loss = (np.log(sum_exp) - f[np.arange(num_train), y]).sum()
    loss = loss / num_train + reg * np.sum(W * W)

    probs = np.exp(f) / sum_exp[:, np.newaxis]
    probs[np.arange(num_train), y] -= 1
    dW = X.T.dot(probs) / num_train + 2 * reg * W
    return loss, dW


def add_bias(X):
    """bias trick, must be done once on train / val / test"""
    return np.hstack([X, np.ones((X.shape[0], 1))])


def grad_check_sparse(f, x, analytic_grad, num_checks=10, h=1e-5):
    worst = 0.0
    for _ in range(num_checks):
        ix = tuple(np.random.randint(m) for m in x.shape)
        old = x[ix]
        x[ix] = old + h
        fp = f(x)
        x[ix] = old - h
        fm = f(x)
        x[ix] = old
        num = (fp - fm) / (2 * h)
        rel = abs(num - analytic_grad[ix]) / (abs(num) + abs(analytic_grad[ix]) + 1e-12)
        worst = max(worst, rel)
    return worst


class LinearClassifier(object):

    def __init__(self):
        self.W = None

    def train(self, X, y, learning_rate=1e-3, reg=1e-5, num_iters=100,
              batch_size=200, verbose=False):
        num_train, dim = X.shape
        num_classes = int(np.max(y)) + 1
        if self.W is None:
            self.W = 0.001 * np.random.randn(dim, num_classes)

        loss_history = []
        for it in range(num_iters):
            pick = np.random.choice(num_train, batch_size, replace=True)
            X_batch, y_batch = X[pick], y[pick]
            loss, grad = self.loss(X_batch, y_batch, reg)
            loss_history.append(loss)
            self.W -= learning_rate * grad
            if verbose and it % 100 == 0:
                print('iteration %d / %d: loss %f' % (it, num_iters, loss))
        return loss_history

    def predict(self, X):
        return np.argmax(X.dot(self.W), axis=1)

    def loss(self, X_batch, y_batch, reg):
        raise NotImplementedError


class Softmax(LinearClassifier):
    """ Softmax + cross-entropy """

    def loss(self, X_batch, y_batch, reg):
        return softmax_loss_vectorized(self.W, X_batch, y_batch, reg)


def accuracy(y_pred, y_true):
    return np.mean(y_pred == y_true)
