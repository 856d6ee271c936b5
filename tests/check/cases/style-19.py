import torch

class SoftmaxRegression:
    def __init__(self, num_features=784, num_classes=10, lr=0.1):
        self.W = torch.zeros(num_features, num_classes)
        self.b = torch.zeros(num_classes)
        self.lr = lr
    def forward(self, X):
        Z = X @ self.W + self.b
        Z = Z - Z.max(dim=1, keepdim=True).values
        E = Z.exp()
        return E / E.sum(dim=1, keepdim=True)
    def cross_entropy(self, P, y):
        return -P[torch.arange(len(y)), y].log().mean()
    def fit(self, X, y, epochs=1, batch_size=32):
        for _ in range(epochs):
            for i in range(0, len(X), batch_size):
                xb, yb = X[i:i + batch_size], y[i:i + batch_size]
                P = self.forward(xb)
                P[torch.arange(len(yb)), yb] -= 1
                P /= len(yb)
                self.W -= self.lr * xb.T @ P
                self.b -= self.lr * P.sum(dim=0)
    def predict(self, X):
        return self.forward(X).argmax(dim=1)
