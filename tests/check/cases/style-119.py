# softmax regression from layer objects
import numpy as np


class LinearLayer:
    def __init__(self, in_dim=784, out_dim=10):
        self.W = np.random.randn(in_dim, out_dim) * 0.01
        self.b = np.zeros(out_dim)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)
        self.inp = None

    def forward(self, inp):
        self.inp = inp.reshape(inp.shape[0], -1)
        return np.dot(self.inp, self.W) + self.b

    def backward(self, grad):
        self.dW = np.dot(self.inp.T, grad)
        self.db = np.sum(grad, axis=0)
        return np.dot(grad, self.W.T)


class CrossEntropyWithSoftmax:
    def forward(self, scores, labels):
        self.labels = labels
        scores = scores - np.max(scores, axis=1, keepdims=True)
        exps = np.exp(scores)
        self.probs = exps / np.sum(exps, axis=1, keepdims=True)
        picked = self.probs[np.arange(len(labels)), labels]
        return -np.sum(np.log(picked)) / len(labels)

    def backward(self):
        grad = np.array(self.probs)
        grad[np.arange(len(self.labels)), self.labels] -= 1
        grad /= len(self.labels)
        return grad


class SGD:
    def __init__(self, layer, lr=0.1):
        self.layer = layer
        self.lr = lr

    def step(self):
        self.layer.W -= self.lr * self.layer.dW
        self.layer.b -= self.lr * self.layer.db


def train_epoch(layer, criterion, optimizer, data_iter):
    total_loss = 0
    n = 0
    for X, y in data_iter:
        scores = layer.forward(X)
        total_loss += criterion.forward(scores, y) * len(y)
        layer.backward(criterion.backward())
        optimizer.step()
        n += len(y)
    return total_loss / n


def accuracy(layer, data_iter):
    right, n = 0, 0
    for X, y in data_iter:
        right += np.sum(np.argmax(layer.forward(X), axis=1) == y)
        n += len(y)
    return right / n
