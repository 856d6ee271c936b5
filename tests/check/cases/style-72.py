import torch
from torch import nn
import torch.nn.functional as F

lr = 0.1
num_epochs = 10
batch_size = 256

num_inputs = 784
num_outputs = 10
W = nn.Parameter(torch.normal(0., 0.01, (num_outputs, num_inputs)))
b = nn.Parameter(torch.zeros(num_outputs))


def softmax(X):
    return F.softmax(X, dim=1)


def net(X):
    X = X.reshape(X.shape[0], num_inputs)
    return softmax(F.linear(X, W, b))


def one_hot(y):
    return F.one_hot(y, num_outputs).to(W.dtype)


def cross_entropy(y_hat, y):
    # sum_k y_k log p_k, p = 0 must not give log(0)
    log_p = torch.log(y_hat.clamp(min=torch.finfo(y_hat.dtype).tiny))
    return -(one_hot(y) * log_p).sum(dim=1)


def l2_penalty(w=W):
    return (w ** 2).sum() / 2


def updater(batch_size, params=(W, b), wd=0):
    with torch.no_grad():
        for p in params:
            g = p.grad / batch_size
            if wd and p is W:
                g = g + wd * p
            p.sub_(lr * g)
    for p in params:
        p.grad.zero_()


def accuracy(y_hat, y):
    if len(y_hat.shape) == 2:
        y_hat = torch.max(y_hat, dim=1)[1]
    return torch.count_nonzero(y_hat == y).item()


def evaluate_accuracy(net, data_iter):
    m, n = 0, 0
    with torch.no_grad():
        for X, y in data_iter:
            m, n = m + accuracy(net(X), y), n + len(y)
    return m / n


class Animator:
    """draws only if matplotlib is there and draw=True"""

    def __init__(self, legend, draw=False):
        self.legend, self.draw = legend, draw
        self.rows = []

    def add(self, epoch, values):
        self.rows.append((epoch, *values))
        if self.draw:
            self.show()

    def show(self):
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            return
        xs, *ys = zip(*self.rows)
        plt.clf()
        for name, v in zip(self.legend, ys):
            plt.plot(xs, v, label=name)
        plt.legend()
        plt.pause(0.01)


def train_epoch_ch3(net, train_iter, loss, updater):
    loss_sum, acc_sum, n = 0., 0., 0
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y).sum()
        l.backward()
        updater(y.shape[0])
        loss_sum += l.item()
        acc_sum += accuracy(y_hat, y)
        n += y.shape[0]
    return loss_sum / n, acc_sum / n


def train_ch3(net, train_iter, test_iter, loss, num_epochs, updater, draw=False):
    animator = Animator(['train loss', 'train acc', 'test acc'], draw)
    for epoch in range(num_epochs):
        m = train_epoch_ch3(net, train_iter, loss, updater)
        animator.add(epoch + 1, m + (evaluate_accuracy(net, test_iter),))
    return animator


def predict(net, X):
    with torch.no_grad():
        return net(X).argmax(dim=1)
