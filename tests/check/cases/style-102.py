# Ejercicio / exercise 3.6.9 (4): what if the bias is just one more weight?
# -> one matrix Theta of 785 x 10, the last row is the bias. Weight decay on all rows but that one.
import torch

num_inputs, num_outputs = 784, 10
lr, wd, batch_size = 0.1, 1e-4, 256

Theta = torch.cat([torch.randn(num_inputs, num_outputs) * 0.01, torch.zeros(1, num_outputs)])
Theta.requires_grad_()
W = Theta            # the loop below calls it W like everyone does


def homogeneous(X):
    X = X.reshape(-1, num_inputs)
    return torch.cat((X, X.new_ones(X.size(0), 1)), dim=1)


def log_softmax(Z):
    m = Z.max(dim=1, keepdim=True).values
    return Z - (m + (Z - m).exp().sum(dim=1, keepdim=True).log())


def softmax(Z):
    return log_softmax(Z).exp()


def net(X):
    return homogeneous(X) @ W        # logits


def cross_entropy(logits, y):
    return -(log_softmax(logits)[torch.arange(len(y)), y])


def sgd(params, lr, batch_size, wd=wd):
    with torch.no_grad():
        for theta in params:
            g = theta.grad / batch_size
            g[:-1] += wd * theta[:-1]
            theta -= lr * g
            theta.grad = None


def updater(batch_size):
    return sgd([W], lr, batch_size)


def accuracy(y_hat, y):
    return float(torch.sum(torch.argmax(y_hat, 1) == y))


def evaluate_accuracy(net, data_iter):
    with torch.no_grad():
        t = torch.tensor([[accuracy(net(X), y), y.numel()] for X, y in data_iter]).sum(0)
    return (t[0] / t[1]).item()


def train_epoch(net, train_iter, loss, updater):
    sums = [0., 0., 0]
    for X, y in train_iter:
        out = net(X)
        l = loss(out, y)
        l.sum().backward()
        updater(y.numel())
        sums[0] += l.sum().item()
        sums[1] += accuracy(out, y)
        sums[2] += y.numel()
    return sums[0] / sums[2], sums[1] / sums[2]
