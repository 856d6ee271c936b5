import random
import torch

config = {
    "data":  {"batch_size": 256, "shuffle": True},
    "model": {"in": 784, "out": 10, "sigma": 0.01, "dtype": torch.float64},
    "train": {"lr": 0.1, "epochs": 5, "schedule": None},   # schedule: epoch -> lr factor
}


def data_iter(features, labels, batch_size=None, shuffle=None):
    batch_size = batch_size or config["data"]["batch_size"]
    shuffle = config["data"]["shuffle"] if shuffle is None else shuffle
    idx = list(range(len(features)))
    if shuffle:
        random.shuffle(idx)
    for i in range(0, len(idx), batch_size):
        take = torch.tensor(idx[i:i + batch_size])
        yield features[take], labels[take]


def init_params(c=config["model"]):
    w = torch.empty(c["out"], c["in"], dtype=c["dtype"]).normal_(0, c["sigma"])
    b = torch.zeros(c["out"], dtype=c["dtype"])
    return [w.requires_grad_(), b.requires_grad_()]


def net(X, params):
    w, b = params
    X = X.flatten(1).to(w.dtype)
    return torch.einsum("bi,oi->bo", X, w) + b


def softmax(o):
    o = o - o.max(-1, keepdim=True).values.detach()
    e = o.exp()
    return torch.einsum("bo,b->bo", e, 1 / e.sum(-1))


def cross_entropy(o, y):
    """o are logits. mean over the batch"""
    return (o.logsumexp(1) - o.gather(1, y.unsqueeze(1)).squeeze(1)).mean()


def gradients(params, X, y):
    l = cross_entropy(net(X, params), y)
    return torch.autograd.grad(l, params), l.detach()


def sgd(params, grads, lr):
    with torch.no_grad():
        for p, g in zip(params, grads):
            p.add_(g, alpha=-lr)


def train_epoch(params, batches, lr):
    s, n = 0., 0
    for X, y in batches:
        grads, l = gradients(params, X, y)
        sgd(params, grads, lr)
        s += l.item() * X.shape[0]
        n += X.shape[0]
    return s / n


@torch.no_grad()
def evaluate_accuracy(params, batches):
    ok, n = 0, 0
    for X, y in batches:
        ok += (net(X, params).argmax(1) == y).sum().item()
        n += y.numel()
    return ok / n


def train(train_set, test_set, c=config["train"]):
    """train_set = (features, labels), same for test_set"""
    params = init_params()
    for epoch in range(c["epochs"]):
        lr = c["lr"]
        if c["schedule"] is not None:
            lr *= c["schedule"](epoch)
        l = train_epoch(params, data_iter(*train_set), lr)
        acc = evaluate_accuracy(params, data_iter(*test_set, shuffle=False))
        yield epoch, l, acc, params
