"""Everything in a class, torch, manual gradient, no autograd."""
import torch


class SoftmaxRegression:
    def __init__(self, num_inputs=784, num_outputs=10, lr=0.1, sigma=0.01):
        self.lr = lr
        self.W = torch.normal(0, sigma, (num_inputs, num_outputs))
        self.b = torch.zeros(num_outputs)

    def forward(self, X):
        O = X.reshape(len(X), -1) @ self.W + self.b
        O = O - O.max(1, keepdim=True).values
        E = O.exp()
        return E / E.sum(1, keepdim=True)

    def loss(self, P, y):
        return -P[torch.arange(len(y)), y].log().mean()

    def backward(self, X, P, y):
        G = P.clone()
        G[torch.arange(len(y)), y] -= 1
        G /= len(y)
        return X.reshape(len(X), -1).T @ G, G.sum(0)

    def step(self, dW, db):
        self.W -= self.lr * dW
        self.b -= self.lr * db

    def train_epoch(self, data_iter):
        total = n = 0
        for X, y in data_iter:
            P = self.forward(X)
            total += self.loss(P, y).item() * len(y)
            n += len(y)
            self.step(*self.backward(X, P, y))
        return total / n

    def evaluate_accuracy(self, data_iter):
        return sum((self.forward(X).argmax(1) == y).sum().item() for X, y in data_iter) / sum(len(y) for _, y in data_iter)


clf = SoftmaxRegression()
