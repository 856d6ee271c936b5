import numpy as np

# Multinomial logistic regression, gradients on paper first, then here.
# L = -1/n sum log p_{i, y_i},   dL/dz = (p - onehot)/n


class Batches:
    """for X, y in Batches(images, labels, 100): ...   reshuffles at every pass"""

    def __init__(self, images, labels, size=100, seed=0):
        self.images, self.labels, self.size = images, labels, size
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return -(-len(self.labels) // self.size)

    def __iter__(self):
        n = len(self.labels)
        order = self.rng.permutation(n)
        X = self.images[order]
        y = self.labels[order]
        for i in range(0, n, self.size):
            yield X[i:i + self.size], y[i:i + self.size]


def init_params(seed=0):
    r = np.random.default_rng(seed)
    return r.normal(0, 0.01, (784, 10)), np.zeros(10)


def one_hot(y, k=10):
    out = np.zeros((y.size, k))
    out[np.arange(y.size), y] = 1
    return out


def softmax(z):
    z = z - z.max(axis=1)[:, None]
    np.exp(z, out=z)
    z /= z.sum(axis=1)[:, None]
    return z


def forward(W, b, X):
    return softmax(X.reshape(len(X), -1) @ W + b)


def loss(W, b, X, y):
    return -np.mean(np.log(np.sum(forward(W, b, X) * one_hot(y), axis=1)))


def gradients(W, b, X, y):
    X = X.reshape(len(X), -1)
    err = (forward(W, b, X) - one_hot(y)) / len(y)
    return X.T @ err, err.sum(axis=0)


def accuracy(W, b, X, y):
    return float((forward(W, b, X).argmax(1) == y).mean())


def step(params, grads, lr):
    for p, g in zip(params, grads):
        p -= lr * g


def train_epoch(W, b, data_iter, lr):
    for X, y in data_iter:
        step((W, b), gradients(W, b, X, y), lr)
    return W, b


def train(X, y, epochs=10, lr=0.2):
    W, b = init_params()
    batches = Batches(X, y)
    for e in range(epochs):
        train_epoch(W, b, batches, lr)
        print(e, loss(W, b, X, y), accuracy(W, b, X, y))
    return W, b
