"""Softmax regression as a reader of the book might write it, with one mistake: `python check.py examples/mine.py`."""

import torch

lr, batch_size = 0.1, 256
W = torch.normal(0, 0.01, size=(784, 10), requires_grad=True)
b = torch.zeros(10, requires_grad=True)


def softmax(X):
    X_exp = torch.exp(X - X.max(dim=1, keepdim=True).values)
    return X_exp / X_exp.sum(dim=1, keepdim=True)


def net(X):
    return softmax(X.reshape(-1, 784) @ W + b)


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def updater(batch_size):
    return sgd([W, b], lr, batch_size)


def accuracy(y_hat, y):
    return float((y_hat.argmax(dim=1) == y).sum())


def evaluate_accuracy(net, data_iter):
    accuracies = []
    for X, y in data_iter:
        accuracies.append(accuracy(net(X), y) / len(y))
    return sum(accuracies) / len(accuracies)


def train_epoch(net, train_iter, loss, updater):
    loss_sum, correct, count = 0.0, 0.0, 0
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y)
        l.sum().backward()
        updater(X.shape[0])
        loss_sum += float(l.sum())
        correct += accuracy(y_hat, y)
        count += len(y)
    return loss_sum / count, correct / count
