# -*- coding: utf-8 -*-
# Regression softmax, exemples en colonnes (cours deeplearning.ai)
import numpy as np


def init_params(seed=0):
    g = np.random.default_rng(seed)
    W = g.normal(scale=0.01, size=(10, 784))
    b = np.zeros((10, 1))
    return W, b


def one_hot(y):
    y = np.asarray(y).ravel()
    Y = np.zeros((10, y.size))
    Y[y, range(y.size)] = 1
    return Y


def softmax(Z):
    E = np.exp(Z - Z.max(0))
    return E / E.sum(0)


def loss(W, b, X, Y):
    # X (784, m), Y (10, m)
    Z = W @ X + b
    Z = Z - Z.max(0)
    logA = Z - np.log(np.exp(Z).sum(0))
    return -(Y * logA).sum(0).mean()


def gradients(W, b, X, Y):
    m = X.shape[1]
    dZ = (softmax(W @ X + b) - Y) / m
    return dZ @ X.T, dZ.sum(1, keepdims=True)


def accuracy(W, b, X, Y):
    return float(((W @ X + b).argmax(0) == Y.argmax(0)).mean())


def step(W, b, grads, lr):
    dW, db = grads
    return W - lr * dW, b - lr * db


def train_epoch(W, b, data_iter, lr):
    for X, y in data_iter:
        X = np.asarray(X).reshape(len(y), 784).T
        W, b = step(W, b, gradients(W, b, X, one_hot(y)), lr)
    return W, b
