import numpy as np


class FullyConnected:
    """y = xW + b"""

    def __init__(self, n_in=784, n_out=10, rng=np.random.RandomState(42)):
        self.W = rng.randn(n_in, n_out) * 0.01
        self.b = np.zeros(n_out)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, grad_output):
        self.dW = self.x.T @ grad_output
        self.db = grad_output.sum(axis=0)
        return grad_output @ self.W.T

    def parameters(self):
        return [self.W, self.b]

    def gradients(self):
        return [self.dW, self.db]


class CrossEntropyLoss:
    def softmax(self, z):
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        return e / e.sum(axis=1, keepdims=True)

    def forward(self, z, y):
        self.p, self.y = self.softmax(z), y
        return -np.mean(np.log(self.p[np.arange(len(y)), y]))

    def backward(self):
        n = len(self.y)
        g = self.p.copy()
        g[np.arange(n), self.y] -= 1
        return g / n


class SGD:
    """SGD with momentum:  v <- mu * v + g ;  p <- p - lr * v   (as in torch.optim.SGD)"""

    def __init__(self, layer, lr=0.01, momentum=0.9):
        self.layer = layer
        self.lr = lr
        self.momentum = momentum
        self.v = [np.zeros_like(p) for p in layer.parameters()]

    def step(self):
        params, grads = self.layer.parameters(), self.layer.gradients()
        for i, (p, g) in enumerate(zip(params, grads)):
            self.v[i] = self.momentum * self.v[i] + g
            p -= self.lr * self.v[i]


layer = FullyConnected()
criterion = CrossEntropyLoss()
optimizer = SGD(layer, lr=0.01, momentum=0.9)


def train_epoch(layer, criterion, optimizer, data_iter):
    total_loss, n = 0.0, 0
    for x, y in data_iter:
        x = x.reshape(len(x), -1)
        total_loss += criterion.forward(layer.forward(x), y) * len(y)
        layer.backward(criterion.backward())
        optimizer.step()
        n += len(y)
    return total_loss / n


def accuracy(layer, x, y):
    return np.mean(layer.forward(x.reshape(len(x), -1)).argmax(axis=1) == y)
