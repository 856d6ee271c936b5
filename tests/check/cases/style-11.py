import torch

class Linear:
    def __init__(self, n_in=784, n_out=10):
        self.weight = torch.randn(n_in, n_out) * 0.01
        self.bias = torch.zeros(n_out)
        self.grad_weight = torch.zeros_like(self.weight)
        self.grad_bias = torch.zeros_like(self.bias)

    def __call__(self, x):
        self.x = x
        return x @ self.weight + self.bias

    forward = __call__

    def backward(self, g):
        self.grad_weight = self.x.T @ g
        self.grad_bias = g.sum(0)
        return g @ self.weight.T

class CrossEntropyLoss:
    def forward(self, z, y):
        self.p = torch.softmax(z, dim=1)
        self.y = y
        return -torch.log(self.p[range(len(y)), y]).mean()

    def backward(self):
        d = self.p.clone()
        d[range(len(self.y)), self.y] -= 1
        return d / len(self.y)

layer = Linear()
criterion = CrossEntropyLoss()

def train_epoch(data_iter, lr=0.1):
    total, n = 0.0, 0
    for X, y in data_iter:
        z = layer(X)
        total += criterion.forward(z, y).item() * len(y)
        n += len(y)
        layer.backward(criterion.backward())
        layer.weight -= lr * layer.grad_weight
        layer.bias -= lr * layer.grad_bias
    return total / n
