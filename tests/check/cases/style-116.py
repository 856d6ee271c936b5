import numpy as np


def make_model(n_in=784, n_out=10, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.normal(scale=0.01, size=(n_in, n_out))
    b = np.zeros(n_out)

    def flat(X):
        return X.reshape(-1, n_in)

    def probs(X):
        z = flat(X) @ W + b
        z = np.exp(z - z.max(1)[:, None])
        return z / z.sum(1)[:, None]

    def loss(X, y):
        return -np.log(np.take_along_axis(probs(X), y[:, None], 1)).mean()

    def error(X, y):
        return (probs(X) - np.eye(n_out)[y]) / len(y)

    def grad_W(X, y):
        return flat(X).T @ error(X, y)

    def grad_b(X, y):
        return error(X, y).sum(0)

    def step(X, y, lr):
        grads = [g(X, y) for g in (grad_W, grad_b)]
        for p, g in zip((W, b), grads):
            p -= lr * g

    def train_epoch(data_iter, lr):
        for X, y in data_iter:
            step(X, y, lr)

    def accuracy(X, y):
        return float((probs(X).argmax(1) == y).mean())

    return {"params": (W, b), "probs": probs, "loss": loss, "grad_W": grad_W,
            "grad_b": grad_b, "step": step, "train_epoch": train_epoch,
            "accuracy": accuracy}
