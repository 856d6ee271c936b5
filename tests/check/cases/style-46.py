import numpy as np


class SoftmaxRegression:
    def __init__(self, n_features=784, n_classes=10, lr=0.1, n_epochs=10, batch_size=256, random_state=0):
        rng = np.random.RandomState(random_state)
        self.lr = lr
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.W = rng.normal(0, 0.01, (n_features, n_classes))
        self.b = np.zeros(n_classes)

    def _softmax(self, z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def _one_hot(self, y):
        out = np.zeros((len(y), self.W.shape[1]))
        out[np.arange(len(y)), y] = 1.0
        return out

    def predict_proba(self, X):
        return self._softmax(X @ self.W + self.b)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def score(self, X, y):
        return (self.predict(X) == y).mean()

    def fit(self, X, y):
        n = len(X)
        self.losses_ = []
        for epoch in range(self.n_epochs):
            total = 0.0
            for s in range(0, n, self.batch_size):
                xb, yb = X[s:s + self.batch_size], y[s:s + self.batch_size]
                p = self.predict_proba(xb)
                total += -np.log(p[np.arange(len(yb)), yb] + 1e-12).sum()
                g = (p - self._one_hot(yb)) / len(yb)
                self.W -= self.lr * xb.T @ g
                self.b -= self.lr * g.sum(axis=0)
            self.losses_.append(total / n)
        return self
