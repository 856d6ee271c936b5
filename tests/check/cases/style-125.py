# gradient ASCENT on the mean log-likelihood, torch tensors but no autograd
import torch


def init_params(seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(784, 10, generator=g) * 0.01, torch.zeros(1, 10)


def one_hot(y):
    return torch.eye(10).index_select(0, y)


def softmax(z):
    z = z.sub(z.amax(1, True))
    return z.exp_().div_(z.sum(1, True))


def log_likelihood(W, b, X, y):
    z = X @ W + b
    return (z[torch.arange(len(y)), y] - z.logsumexp(1)).mean()


def gradients(W, b, X, y):
    """of the log-likelihood (not of the loss)"""
    R = one_hot(y) - softmax(X @ W + b)
    R /= len(y)
    return X.t() @ R, R.sum(0, keepdim=True)


def step(W, b, gW, gb, lr):
    W += lr * gW
    b += lr * gb


def accuracy(W, b, X, y):
    return ((X @ W + b).argmax(1) == y).double().mean().item()


def train_epoch(W, b, data_iter, lr):
    ll, n = 0.0, 0
    for X, y in data_iter:
        X = X.reshape(len(y), -1)
        ll += log_likelihood(W, b, X, y).item() * len(y)
        step(W, b, *gradients(W, b, X, y), lr)
        n += len(y)
    return -ll / n        # the usual loss


if __name__ == '__main__':
    from torchvision import datasets, transforms
    d = datasets.FashionMNIST('data', transform=transforms.ToTensor(), download=True)
    it = torch.utils.data.DataLoader(d, 256, shuffle=True)
    W, b = init_params()
    for e in range(10):
        print(train_epoch(W, b, it, 0.1), accuracy(W, b, d.data.reshape(-1, 784) / 255, d.targets))
