# coding: utf-8
# ゼロから作る... style layers: Affine / SoftmaxWithLoss / SGD
import numpy as np


def softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def one_hot(y, n=10):
    t = np.zeros((len(y), n))
    for i, k in enumerate(y):
        t[i, k] = 1
    return t


class Affine:
    def __init__(self, W, b):
        self.W = W
        self.b = b
        self.x = None
        self.dW = None
        self.db = None

    def forward(self, x):
        self.x = x.reshape(x.shape[0], -1)
        return np.dot(self.x, self.W) + self.b

    def backward(self, dout):
        dx = np.dot(dout, self.W.T)
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0)
        return dx


class SoftmaxWithLoss:
    def __init__(self):
        self.loss = None
        self.y = None  # output of softmax
        self.t = None  # one-hot labels

    def forward(self, x, t):
        self.t = one_hot(t) if t.ndim == 1 else t
        self.y = softmax(x)
        self.loss = -np.sum(self.t * np.log(self.y)) / x.shape[0]
        return self.loss

    def backward(self, dout=1):
        batch_size = self.t.shape[0]
        dx = dout * (self.y - self.t) / batch_size
        return dx


class SGD:
    def __init__(self, lr=0.1):
        self.lr = lr

    def update(self, layer):
        layer.W -= self.lr * layer.dW
        layer.b -= self.lr * layer.db


def train_epoch(layer, criterion, optimizer, data_iter):
    losses = []
    for x, t in data_iter:
        losses.append(criterion.forward(layer.forward(x), t))
        layer.backward(criterion.backward())
        optimizer.update(layer)
    return losses


def make_layer(seed=0):
    rng = np.random.RandomState(seed)
    return Affine(0.01 * rng.randn(784, 10), np.zeros(10))
