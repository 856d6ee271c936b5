import torch
from dataclasses import dataclass


@dataclass
class Config:
    lr: float = 0.1
    batch_size: int = 256
    num_epochs: int = 10
    sigma: float = 0.01


@dataclass
class Model:
    W: torch.Tensor
    b: torch.Tensor

    @classmethod
    def create(cls, cfg: Config):
        W = torch.normal(0, cfg.sigma, size=(784, 10), requires_grad=True)
        return cls(W, torch.zeros(10, requires_grad=True))

    def __call__(self, X):
        return softmax(torch.matmul(X.reshape((-1, 784)), self.W) + self.b)


@dataclass
class Metric:
    loss: float = 0.0
    correct: float = 0.0
    n: int = 0

    def add(self, loss, correct, n):
        self.loss += loss
        self.correct += correct
        self.n += n


def softmax(X):
    X_exp = torch.exp(X - X.max(dim=1, keepdim=True)[0])
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[range(len(y_hat)), y])


def accuracy(y_hat, y):
    """how many are right (a count)"""
    return float((y_hat.argmax(axis=1).type(y.dtype) == y).sum())


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


def train_epoch(net, train_iter, loss, cfg):
    metric = Metric()
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y)
        l.sum().backward()
        sgd([net.W, net.b], cfg.lr, X.shape[0])
        metric.add(float(l.sum()), accuracy(y_hat, y), y.numel())
    return metric.loss / metric.n, metric.correct / metric.n


def evaluate_accuracy(net, data_iter):
    metric = Metric()
    with torch.no_grad():
        for X, y in data_iter:
            metric.add(0.0, accuracy(net(X), y), y.numel())
    return metric.correct / metric.n


def train(net, train_iter, test_iter, cfg=Config()):
    for epoch in range(cfg.num_epochs):
        tl, ta = train_epoch(net, train_iter, cross_entropy, cfg)
        print(f"epoch {epoch + 1}: loss {tl:.3f}, train acc {ta:.3f}, test acc {evaluate_accuracy(net, test_iter):.3f}")
