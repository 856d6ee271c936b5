import numpy as np


class Layer:
    params, grads = (), ()

    def __call__(self, x):
        return self.forward(x)


class Scale(Layer):
    """bytes 0..255 -> 0..1"""

    def forward(self, x):
        return x / 255.0

    def backward(self, g):
        return g / 255.0


class Dense(Layer):
    def __init__(self, i, o, seed=0):
        self.W = np.random.default_rng(seed).normal(scale=0.01, size=(o, i))
        self.b = np.zeros(o)
        self.gW, self.gb = np.zeros((o, i)), np.zeros(o)
        self.params = (self.W, self.b)
        self.grads = (self.gW, self.gb)

    def forward(self, x):
        self.x = x
        return x @ self.W.T + self.b

    def backward(self, g):
        self.gW += g.T @ self.x
        self.gb += g.sum(0)
        return g @ self.W


class LogSoftmax(Layer):
    def forward(self, z):
        s = z - z.max(-1, keepdims=True)
        self.out = s - np.log(np.exp(s).sum(-1, keepdims=True))
        return self.out

    def backward(self, g):
        return g - np.exp(self.out) * g.sum(-1, keepdims=True)


class NLL:
    def forward(self, logp, y):
        self.idx, self.shape = (np.arange(len(y)), y), logp.shape
        return -np.mean(logp[self.idx])

    def backward(self):
        g = np.zeros(self.shape)
        g[self.idx] = -1 / self.shape[0]
        return g


class Sequential(list):
    def forward(self, x):
        for layer in self:
            x = layer(x)
        return x

    def backward(self, g):
        for layer in self[::-1]:
            g = layer.backward(g)
        return g

    def zero_grad(self):
        for layer in self:
            for g in layer.grads:
                g.fill(0)


class SGD:
    def __init__(self, net, lr):
        self.pairs = [pg for layer in net for pg in zip(layer.params, layer.grads)]
        self.lr = lr

    def step(self):
        for p, g in self.pairs:
            np.subtract(p, self.lr * g, out=p)


def build(seed=0):
    return Sequential([Scale(), Dense(784, 10, seed), LogSoftmax()])


def train_epoch(net, criterion, optimizer, data_iter):
    total = count = 0
    for X, y in data_iter:
        total += criterion.forward(net.forward(X), y) * len(y)
        count += len(y)
        net.zero_grad()
        net.backward(criterion.backward())
        optimizer.step()
    return total / count


def evaluate_accuracy(net, data_iter):
    return (lambda r: sum(a for a, _ in r) / sum(n for _, n in r))(
        [(np.sum(net.forward(X).argmax(1) == y), len(y)) for X, y in data_iter])
