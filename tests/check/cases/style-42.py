"""Softmax regression where each function is written for ONE sample and then vmapped."""
import functools
import itertools

import torch
from torch.func import vmap


class Model:
    """keeps W and b together; call it like a function"""

    def __init__(self, n_in=784, n_out=10, sigma=0.01):
        self.W = torch.normal(0.0, sigma, (n_in, n_out), requires_grad=True)
        self.b = torch.zeros(n_out, requires_grad=True)

    @property
    def params(self):
        return [self.W, self.b]

    def __call__(self, X):
        return softmax(X.reshape(X.shape[0], -1) @ self.W + self.b)


def softmax_one(o):
    return torch.exp(o - torch.logsumexp(o, 0))


def cross_entropy_one(p, label):
    return -p.gather(0, label.reshape(1)).log().squeeze(0)


softmax = vmap(softmax_one)
cross_entropy = vmap(cross_entropy_one)

net = Model()
W, b = net.params
lr, wd, batch_size = 0.1, 1e-4, 256
n_updates = itertools.count()


def sgd(params, lr, batch_size, wd=0.0):
    """Minimises mean loss + wd/2 * |W|^2. The matrices decay, the vectors (bias) don't."""
    with torch.no_grad():
        for p in params:
            g = p.grad / batch_size
            if p.ndim > 1:
                g = g + wd * p
            p -= lr * g
            p.grad = torch.zeros_like(p)


def schedule(t):
    """constant for 1000 updates, then 1/t"""
    return lr * min(1.0, 1000 / (t + 1))


def scheduled(step, schedule):
    return lambda batch_size: step(lr=schedule(next(n_updates)), batch_size=batch_size)


updater = scheduled(functools.partial(sgd, net.params, wd=wd), schedule)


def accuracy(y_hat, y):
    return sum(map(int, y_hat.argmax(1) == y))


def evaluate_accuracy(net, data_iter):
    n = right = 0
    with torch.no_grad():
        for n, right in itertools.accumulate(
                ((len(y), accuracy(net(X), y)) for X, y in data_iter),
                lambda s, t: (s[0] + t[0], s[1] + t[1])):
            pass
    return right / n


def train_epoch(net, train_iter, loss, updater):
    n, right, total = 0, 0, 0.0
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y)
        l.backward(torch.ones_like(l))
        updater(len(y))
        n, right, total = n + len(y), right + accuracy(y_hat, y), total + l.detach().sum().item()
    return total / n, right / n
