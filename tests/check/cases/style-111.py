# A tiny "framework", one class per node of the graph.
#   logits = Dense(X);  logp = LogSoftmax(logits);  L = NLL(logp, y)
import numpy as np


class Layer:
    params = ()
    grads = ()

    def forward(self, x):
        raise NotImplementedError

    def backward(self, g):
        raise NotImplementedError


class Dense(Layer):
    def __init__(self, n_in=784, n_out=10, seed=0):
        r = np.random.default_rng(seed)
        self.W = r.normal(scale=0.01, size=(n_in, n_out))
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

    def forward(self, x):
        self.x = x.reshape(len(x), -1)
        return self.x @ self.W + self.b

    def backward(self, g):
        self.dW[...] = np.einsum('ni,no->io', self.x, g)
        self.db[...] = np.einsum('no->o', g)
        return g @ self.W.T

    @property
    def params(self):
        return [self.W, self.b]

    @property
    def grads(self):
        return [self.dW, self.db]


class LogSoftmax(Layer):
    def forward(self, z):
        z = z - z.max(axis=-1, keepdims=True)
        self.logp = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        return self.logp

    def backward(self, g):
        # d logp_j / d z_k = [j == k] - p_k
        return g - np.exp(self.logp) * g.sum(axis=-1, keepdims=True)


class NLLLoss:
    def forward(self, logp, y):
        self.shape, self.y = logp.shape, y
        return -logp[np.arange(len(y)), y].mean()

    def backward(self):
        g = np.zeros(self.shape)
        g[np.arange(len(self.y)), self.y] = -1.0 / len(self.y)
        return g


class Sequential(Layer):
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, g):
        for layer in reversed(self.layers):
            g = layer.backward(g)
        return g


class SGD:
    def __init__(self, layers, lr=0.1):
        self.layers, self.lr = layers, lr

    def step(self):
        for layer in self.layers:
            for p, g in zip(layer.params, layer.grads):
                p -= self.lr * g


dense = Dense()
net = Sequential(dense, LogSoftmax())
criterion = NLLLoss()
optimizer = SGD(net.layers, lr=0.1)


def train_epoch(net, criterion, optimizer, data_iter):
    total, n = 0.0, 0
    for X, y in data_iter:
        L = criterion.forward(net.forward(X), y)
        net.backward(criterion.backward())
        optimizer.step()
        total += L * len(y)
        n += len(y)
    return total / n


def evaluate_accuracy(net, data_iter):
    right = [net.forward(X).argmax(axis=1) == y for X, y in data_iter]
    return np.concatenate(right).mean()
