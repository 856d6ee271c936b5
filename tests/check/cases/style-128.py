import torch


class Classifier:
    """softmax regression with hand-made gradients on torch tensors"""

    def __init__(self, n_in=784, n_out=10, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.W = 0.01 * torch.randn(n_in, n_out, generator=g)
        self.b = torch.zeros(1, n_out)

    def scores(self, X):
        return X.flatten(1) @ self.W + self.b

    def log_probs(self, X):
        s = self.scores(X)
        s = s - s.max(dim=1, keepdim=True).values
        return s - s.exp().sum(dim=1, keepdim=True).log()

    def loss(self, X, y):
        return -self.log_probs(X).gather(1, y.reshape(-1, 1)).mean()

    def backward(self, X, y):
        lp = self.log_probs(X)
        G = lp.exp().scatter_add(1, y.reshape(-1, 1), -torch.ones(len(y), 1, dtype=lp.dtype))
        G = G / len(y)
        self.dW = X.flatten(1).t() @ G
        self.db = G.sum(0, keepdim=True)

    def step(self, lr):
        self.W -= lr * self.dW
        self.b -= lr * self.db

    def accuracy(self, data_iter):
        ok = n = 0
        for X, y in data_iter:
            ok += (self.scores(X).max(1)[1] == y).sum().item()
            n += len(y)
        return ok / n


def train_epoch(model, data_iter, lr):
    total, n = 0.0, 0
    for X, y in data_iter:
        total += model.loss(X, y).item() * len(y)
        n += len(y)
        model.backward(X, y)
        model.step(lr)
    return total / n


def mean_loss(model, data_iter):
    parts = [(model.loss(X, y).item(), len(y)) for X, y in data_iter]
    return sum(l * n for l, n in parts) / sum(n for _, n in parts)


def train(model, train_iter, valid_iter, lr=0.1, decay=1.0, epochs=10, patience=2):
    """lr is multiplied by `decay` after each epoch; stops when the validation loss
    has not gone down for `patience` epochs. Returns the history."""
    history, best, bad = [], float("inf"), 0
    for epoch in range(epochs):
        tr = train_epoch(model, train_iter, lr)
        va = mean_loss(model, valid_iter)
        history.append({"epoch": epoch, "lr": lr, "train": tr, "valid": va})
        lr *= decay
        if va < best:
            best, bad = va, 0
        else:
            bad += 1
            if bad == patience:
                break
    return history


def plot(history):
    import matplotlib.pyplot as plt
    plt.plot([h["train"] for h in history], label="train")
    plt.plot([h["valid"] for h in history], label="valid")
    plt.legend()
    plt.show()
