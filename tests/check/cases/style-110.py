# one example at a time, parameters in a dict, torch without autograd
import torch


def init_params(seed=0):
    g = torch.Generator()
    g.manual_seed(seed)
    return {"W": torch.randn(784, 10, generator=g) / 100,
            "b": torch.zeros(10)}


def softmax(v):
    e = torch.exp(v - v.max())          # v is the score vector of ONE image
    return e / e.sum()


def net(params, x):
    return softmax(params["W"].t().mv(x.reshape(784)) + params["b"])


def example_loss(params, x, label):
    return -torch.log(net(params, x)[label])


def loss(params, X, y):
    return sum(example_loss(params, x, t) for x, t in zip(X, y)) / len(y)


def gradients(params, X, y):
    grads = {k: torch.zeros_like(v) for k, v in params.items()}
    for x, t in zip(X, y):
        err = net(params, x)
        err[t] -= 1
        grads["W"] += torch.outer(x.reshape(784), err)
        grads["b"] += err
    for k in grads:
        grads[k] /= len(y)
    return grads


def sgd(params, grads, lr):
    for k in params:
        params[k] -= lr * grads[k]
    return params


def accuracy(params, X, y):
    good = 0
    for x, t in zip(X, y):
        good += int(net(params, x).argmax() == t)
    return good / len(y)


def evaluate_accuracy(params, data_iter):
    good = n = 0
    for X, y in data_iter:
        good += accuracy(params, X, y) * len(y)
        n += len(y)
    return good / n


def train_epoch(params, data_iter, lr):
    for X, y in data_iter:
        params = sgd(params, gradients(params, X, y), lr)
    return params
