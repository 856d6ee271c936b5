import torch
W = torch.randn(784, 10, requires_grad=True)
with torch.no_grad():
    W *= 0.01
b = torch.zeros(10, requires_grad=True)
def softmax(x):
    x = x - torch.max(x, dim=1, keepdim=True)[0]
    return torch.exp(x) / torch.sum(torch.exp(x), dim=1, keepdim=True)
def net(x): return softmax(torch.mm(x.view(-1, 784), W) + b)
def loss(y_pred, y_true):
    n = y_pred.shape[0]
    return -torch.sum(torch.log(y_pred[range(n), y_true] + 1e-10)) / n
def train_epoch(data_iter, lr):
    for X, y in data_iter:
        l = loss(net(X), y)
        l.backward()
        for p in (W, b):
            p.data -= lr * p.grad.data
            p.grad.data.zero_()
def evaluate_accuracy(data_iter):
    acc_sum, n = 0.0, 0
    for X, y in data_iter:
        acc_sum += (net(X).argmax(dim=1) == y).float().sum().item()
        n += y.shape[0]
    return acc_sum / n
