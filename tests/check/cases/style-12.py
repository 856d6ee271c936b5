import torch
import torch.nn.functional as F
W = torch.randn(784, 10).mul_(0.01).requires_grad_()
b = torch.zeros(10, requires_grad=True)
weight_decay = 0.01
def net(X): return X.reshape(X.shape[0], -1) @ W + b
def loss(y_hat, y): return F.cross_entropy(y_hat, y, reduction='none')
optimizer = torch.optim.SGD([W, b], lr=0.1)
def l2_penalty(w): return (w ** 2).sum() / 2
def train_epoch(net, train_iter, loss, optimizer):
    s, n = 0.0, 0
    for X, y in train_iter:
        l = loss(net(X), y).mean() + weight_decay * l2_penalty(W)
        optimizer.zero_grad()
        l.backward()
        optimizer.step()
        s += l.item() * len(y); n += len(y)
    return s / n
