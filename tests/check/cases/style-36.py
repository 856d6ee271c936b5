import torch
torch.set_default_dtype(torch.float64)
W = torch.randn(784, 10) * 0.01
b = torch.zeros(10)
W.requires_grad = True
b.requires_grad = True
def net(X): return X.flatten(1).to(W.dtype) @ W + b
def criterion(o, y): return torch.nn.functional.cross_entropy(o, y, reduction='sum')
def make_updater(params, lr):
    def updater(batch_size):
        with torch.no_grad():
            for p in params:
                p -= lr / batch_size * p.grad
                p.grad = None
    return updater
updater = make_updater([W, b], 0.1)
def train_epoch(net, train_iter, criterion, updater):
    total, hits, n = 0.0, 0, 0
    for X, y in train_iter:
        o = net(X)
        l = criterion(o, y)
        l.backward()
        updater(len(y))
        total += l.item(); hits += (o.argmax(1) == y).sum().item(); n += len(y)
    return total / n, hits / n
