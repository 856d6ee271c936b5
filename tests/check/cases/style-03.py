import numpy as np

class SoftmaxRegression:
    def __init__(self, n_features=784, n_classes=10, lr=0.1, seed=0):
        rng = np.random.RandomState(seed)
        self.W = rng.randn(n_features, n_classes) * 0.01
        self.b = np.zeros(n_classes)
        self.lr = lr

    def _softmax(self, z):
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        return e / e.sum(axis=1, keepdims=True)

    def predict_proba(self, X):
        return self._softmax(X @ self.W + self.b)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def loss(self, X, y):
        p = self.predict_proba(X)
        return -np.log(p[np.arange(len(y)), y] + 1e-12).mean()

    def gradients(self, X, y):
        p = self.predict_proba(X)
        p[np.arange(len(y)), y] -= 1
        p /= len(y)
        return X.T @ p, p.sum(axis=0)

    def train_epoch(self, batches):
        for X, y in batches:
            dW, db = self.gradients(X, y)
            self.W -= self.lr * dW
            self.b -= self.lr * db

    def score(self, X, y):
        return (self.predict(X) == y).mean()
