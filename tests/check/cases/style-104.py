# softmax regression w/ momentum, everything as closures
import torch

batch_size, lr, momentum = 256, 0.03, 0.9


def make_model(n_in=784, n_out=10):
    W = torch.randn(n_in, n_out).mul_(0.01).requires_grad_()
    b = torch.zeros(n_out, requires_grad=True)

    def logits(X):
        return X.reshape(-1, n_in) @ W + b

    return logits, dict(W=W, b=b)


def cross_entropy(y, logits):
    """NOTE the order: truth first, then prediction (I come from Keras)"""
    lse = torch.logsumexp(logits, dim=1)
    return lse - logits.gather(1, y.unsqueeze(1)).squeeze(1)


def softmax(z):
    return (z - torch.logsumexp(z, dim=1, keepdim=True)).exp()


def make_updater(params, lr, mu):
    velocity = {name: torch.zeros_like(p) for name, p in params.items()}

    @torch.no_grad()
    def updater(batch_size):
        for name, p in params.items():
            velocity[name] = mu * velocity[name] - lr * p.grad / batch_size
            p += velocity[name]
            p.grad = None

    return updater


net, params = make_model()
W, b = params["W"], params["b"]
updater = make_updater(params, lr, momentum)


def accuracy(y, logits):
    return torch.eq(logits.argmax(dim=1), y).sum().item()


def evaluate_accuracy(net, data_iter):
    with torch.no_grad():
        pairs = [(accuracy(y, net(X)), y.shape[0]) for X, y in data_iter]
    return sum(p[0] for p in pairs) / sum(p[1] for p in pairs)


def train_epoch(net, train_iter, loss, updater):
    acc = loss_total = count = 0
    for X, y in train_iter:
        out = net(X)
        l = loss(y, out)
        l.sum().backward()
        updater(y.shape[0])
        loss_total += l.sum().item()
        acc += accuracy(y, out)
        count += y.shape[0]
    return loss_total / count, acc / count
