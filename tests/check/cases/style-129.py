# Trying out torch.func: write the model for ONE image, let vmap do the batch.
import torch
from torch.func import grad_and_value, vmap

D, K = 784, 10
lr = 0.1

W = torch.randn(D, K, generator=torch.Generator().manual_seed(0)) * 0.01
b = torch.zeros(K)


def net_single(params, x):
    W, b = params
    return x.reshape(-1) @ W + b


def cross_entropy_single(params, x, t):
    """t is a one hot vector (indexing with a vmapped label is not allowed)"""
    z = net_single(params, x)
    return torch.logsumexp(z, dim=0) - torch.dot(z, t)


def net(params, X):
    return vmap(net_single, in_dims=(None, 0))(params, X)


def one_hot(y, k=K, like=None):
    return torch.eye(k, dtype=None if like is None else like.dtype)[y]


def batch_loss(params, X, y):
    T = one_hot(y, like=X)
    return vmap(cross_entropy_single, in_dims=(None, 0, 0))(params, X, T).mean()


def per_sample_grads(params, X, y):
    g, l = vmap(grad_and_value(cross_entropy_single), in_dims=(None, 0, 0))(
        params, X, one_hot(y, like=X))
    return g, l


def sgd(params, grads, lr):
    return tuple(p - lr * g for p, g in zip(params, grads))


def train_epoch(params, train_iter, lr=lr, use_per_sample=False):
    losses = []
    for X, y in train_iter:
        if use_per_sample:       # slow, but fun: same numbers
            g, l = per_sample_grads(params, X, y)
            g = tuple(t.mean(0) for t in g)
            losses.append(l)
        else:
            g, l = grad_and_value(batch_loss)(params, X, y)
            losses.append(l.expand(len(y)))
        params = sgd(params, g, lr)
    return params, torch.cat(losses).mean().item()


def accuracy(params, X, y):
    return (net(params, X).argmax(1) == y).to(X.dtype).mean().item()


def evaluate_accuracy(params, data_iter):
    correct = torch.zeros((), dtype=torch.long)
    n = 0
    for X, y in data_iter:
        correct += (net(params, X).argmax(1) == y).sum()
        n += y.numel()
    return correct.item() / n


if __name__ == "__main__":
    X = torch.rand(6, 1, 28, 28)
    y = torch.randint(0, 10, (6,))
    params = (W, b)
    print("loss at start should be about log(10)=2.30:", batch_loss(params, X, y).item())
