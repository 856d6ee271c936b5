# fast.ai style: "What is torch.nn really?"
import math

import torch

weights = torch.randn(784, 10) / math.sqrt(784)
weights.requires_grad_()
bias = torch.zeros(10, requires_grad=True)
bs, lr = 64, 0.5


def log_softmax(x):
    return x - x.logsumexp(-1).unsqueeze(-1)


def model(xb):
    return log_softmax(xb.view(-1, 784) @ weights + bias)


def nll(input, target):
    return -input[range(target.shape[0]), target].mean()


loss_func = nll


def accuracy(out, yb):
    preds = torch.argmax(out, dim=1)
    return (preds == yb).float().mean()


def loss_batch(model, loss_func, xb, yb, opt=None):
    loss = loss_func(model(xb), yb)
    if opt is not None:
        loss.backward()
        opt()
    return loss.item(), len(xb)


def opt():
    global weights, bias
    with torch.no_grad():
        weights -= weights.grad * lr
        bias -= bias.grad * lr
        weights.grad.zero_()
        bias.grad.zero_()


def fit(epochs, model, loss_func, opt, train_dl, valid_dl=None):
    for epoch in range(epochs):
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
        if valid_dl is not None:
            with torch.no_grad():
                losses, nums = zip(*[loss_batch(model, loss_func, xb, yb) for xb, yb in valid_dl])
            print(epoch, sum(l * n for l, n in zip(losses, nums)) / sum(nums))
