# softmaxreg.py -- port of my old MATLAB exercise (UFLDL tutorial, softmax_regression.m)
#
#   theta -> W (784 x 10), b (1 x 10)
#   groundTruth = full(sparse(labels, 1:m, 1))'
import numpy as np
from numpy import exp, log, zeros, ones, sum, max, mean

inputSize = 28 * 28
numClasses = 10


def init_params(seed=0):
    np.random.seed(seed)
    W = 0.005 * np.random.randn(inputSize, numClasses)
    b = zeros((1, numClasses))
    return W, b


def one_hot(y):
    m = np.size(y)
    groundTruth = zeros((m, numClasses))
    groundTruth[np.arange(m), y] = 1
    return groundTruth


def softmax(M):
    # bsxfun(@minus, M, max(M, [], 2))
    M = M - max(M, axis=1).reshape(-1, 1)
    M = exp(M)
    return M / sum(M, axis=1).reshape(-1, 1)


def hypothesis(W, b, X):
    m = X.shape[0]
    X = X.reshape(m, inputSize)
    return softmax(X @ W + ones((m, 1)) @ b)


def loss(W, b, X, y):
    m = X.shape[0]
    h = hypothesis(W, b, X)
    return -1 / m * sum(log(h[one_hot(y) == 1]))


def gradients(W, b, X, y):
    m = X.shape[0]
    h = hypothesis(W, b, X)
    err = one_hot(y) - h
    Wgrad = -1 / m * X.reshape(m, inputSize).T @ err
    bgrad = -1 / m * ones((1, m)) @ err
    return Wgrad, bgrad


def accuracy(W, b, X, y):
    pred = np.argmax(hypothesis(W, b, X), axis=1)
    return mean(pred == y)


def train_epoch(W, b, data_iter, lr):
    for X, y in data_iter:
        Wgrad, bgrad = gradients(W, b, X, y)
        W = W - lr * Wgrad
        b = b - lr * bgrad
    return W, b


def computeNumericalGradient(J, theta, EPSILON=1e-4):
    numgrad = zeros(theta.shape)
    for i in range(theta.size):
        e = zeros(theta.size)
        e[i] = EPSILON
        e = e.reshape(theta.shape)
        numgrad.flat[i] = (J(theta + e) - J(theta - e)) / (2 * EPSILON)
    return numgrad
