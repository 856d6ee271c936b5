"""Small modular framework (forward / backward), one class per block."""
import numpy as np


class Layer:
    def forward(self, *a):
        raise NotImplementedError

    def backward(self, *a):
        raise NotImplementedError


class Dense(Layer):
    def __init__(self, n_in, n_out, rng=np.random.default_rng(1)):
        self.W = rng.normal(scale=0.01, size=(n_in, n_out))
        self.b = np.zeros((1, n_out))

    def forward(self, X):
        self.X = X.reshape(len(X), -1)
        return np.dot(self.X, self.W) + self.b

    def backward(self, dZ):
        self.dW = np.dot(self.X.T, dZ)
        self.db = np.sum(dZ, axis=0, keepdims=True)
        return np.dot(dZ, self.W.T)


class Softmax(Layer):
    def forward(self, Z):
        E = np.exp(Z - np.max(Z, axis=1, keepdims=True))
        self.P = E / np.sum(E, axis=1, keepdims=True)
        return self.P

    def backward(self, dP):
        # J^T dP with J = diag(p) - p p^T, row by row
        return self.P * (dP - np.sum(dP * self.P, axis=1, keepdims=True))


class CrossEntropy(Layer):
    def forward(self, P, y):
        self.P = P
        self.Y = np.eye(P.shape[1])[y]
        return -np.mean(np.log(np.sum(self.Y * P, axis=1)))

    def backward(self):
        n = len(self.P)
        dP = -self.Y / self.P / n
        return dP


class SGD:
    def __init__(self, lr):
        self.lr = lr

    def step(self, layer):
        layer.W -= self.lr * layer.dW
        layer.b -= self.lr * layer.db


dense = Dense(784, 10)
softmax = Softmax()
criterion = CrossEntropy()
optimizer = SGD(0.1)


def train_epoch(dense, softmax, criterion, optimizer, data_iter):
    losses = []
    for X, y in data_iter:
        P = softmax.forward(dense.forward(X))
        losses.append(criterion.forward(P, y))
        dP = criterion.backward()
        dZ = softmax.backward(dP)
        dense.backward(dZ)
        optimizer.step(dense)
    return losses


def accuracy(dense, X, y):
    return np.mean(np.argmax(dense.forward(X), axis=1) == y)
