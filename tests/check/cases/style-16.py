import numpy as np

class Dense:
    def __init__(self, n_in=784, n_out=10):
        self.W = np.random.randn(n_in, n_out) * 0.01
        self.b = np.zeros((1, n_out))
    def forward(self, x):
        self.x = x
        return np.dot(x, self.W) + self.b
    def backward(self, dout):
        self.dW = np.dot(self.x.T, dout)
        self.db = np.sum(dout, axis=0, keepdims=True)
        return np.dot(dout, self.W.T)

class SoftmaxWithLoss:
    def forward(self, x, t):
        x = x - np.max(x, axis=1, keepdims=True)
        self.y = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)
        self.t = t
        return -np.sum(np.log(self.y[np.arange(len(t)), t] + 1e-7)) / len(t)
    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx * dout / len(self.t)

def train_epoch(layer, loss, batches, lr=0.1):
    losses = []
    for x, t in batches:
        losses.append(loss.forward(layer.forward(x), t) * len(t))
        layer.backward(loss.backward())
        layer.W -= lr * layer.dW
        layer.b -= lr * layer.db
    return sum(losses)
