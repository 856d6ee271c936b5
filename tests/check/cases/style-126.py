"""No .backward() in this one: torch.autograd.grad gives the gradients directly."""
import torch

torch.manual_seed(0)
W = 0.01 * torch.randn(784, 10)
b = torch.zeros(10)
W.requires_grad_(True), b.requires_grad_(True)

lr = 0.1
batch_size = 256


def softmax(o):
    o = o - o.max(dim=-1, keepdim=True).values
    e = o.exp()
    return e / e.sum(dim=-1, keepdim=True)


def net(X, params=None):
    w, c = params or (W, b)
    return softmax(torch.addmm(c, X.reshape(-1, 784), w))


def cross_entropy(y_hat, y):
    return -y_hat[torch.arange(len(y)), y].log().mean()


def sgd(params, grads, lr):
    with torch.no_grad():
        for p, g in zip(params, grads):
            p -= lr * g


def accuracy(y_hat, y):
    return torch.mean((y_hat.argmax(-1) == y).to(torch.get_default_dtype())).item()


def evaluate_accuracy(net, data_iter):
    outs, ys = [], []
    with torch.no_grad():
        for X, y in data_iter:
            outs.append(net(X))
            ys.append(y)
    return accuracy(torch.cat(outs), torch.cat(ys))


def train_epoch(net, train_iter, loss, params=None, lr=lr):
    params = params or [W, b]
    seen, total = 0, 0.0
    for X, y in train_iter:
        l = loss(net(X), y)
        grads = torch.autograd.grad(l, params)
        sgd(params, grads, lr)
        total += l.item() * len(X)
        seen += len(X)
    return total / seen


def epochs(train_iter, test_iter, n):
    """generator, so that one can stop whenever one likes"""
    for e in range(n):
        l = train_epoch(net, train_iter, cross_entropy)
        yield e, l, evaluate_accuracy(net, test_iter)


def numeric_grad(f, t, idx, h=1e-5):
    """central difference of the scalar f() with respect to t[idx]"""
    with torch.no_grad():
        old = t[idx].item()
        t[idx] = old + h
        up = f().item()
        t[idx] = old - h
        down = f().item()
        t[idx] = old
    return (up - down) / (2 * h)
