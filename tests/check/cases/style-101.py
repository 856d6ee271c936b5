# Coursera deeplearning.ai week 2 -> extended from cat/non-cat to 10 classes
import numpy as np


def initialize_parameters(dim=784, classes=10, seed=3):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((dim, classes)) * 0.01
    b = np.zeros((1, classes))
    return W, b

init_params = initialize_parameters


def softmax(Z):
    t = np.exp(Z - np.max(Z, axis=1, keepdims=True))
    return t / np.sum(t, axis=1, keepdims=True)


def one_hot(y, C=10):
    return np.eye(C)[y.reshape(-1)]


def loss(W, b, X, y):
    A = softmax(np.dot(X, W) + b)
    Y = one_hot(y)
    cost = -np.mean(np.sum(Y * np.log(A), axis=1))
    return np.squeeze(cost)


def gradients(W, b, X, y):
    m = X.shape[0]

    # FORWARD PROPAGATION
    A = softmax(np.dot(X, W) + b)

    # BACKWARD PROPAGATION
    dZ = A - one_hot(y)
    dW = (1 / m) * np.dot(X.T, dZ)
    db = (1 / m) * np.sum(dZ, axis=0, keepdims=True)

    assert dW.shape == W.shape
    assert db.shape == b.shape
    return dW, db


def step(W, b, X, y, learning_rate):
    dW, db = gradients(W, b, X, y)
    return W - learning_rate * dW, b - learning_rate * db


def predict(W, b, X):
    return np.argmax(np.dot(X, W) + b, axis=1)


def accuracy(W, b, X, y):
    return np.mean(predict(W, b, X) == y)
