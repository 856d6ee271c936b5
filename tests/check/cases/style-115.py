import numpy as np


class SoftmaxClassifier:
    """scikit-learn flavoured multinomial logistic regression with L2 penalty.

    Minimises   mean cross entropy + reg/2 * ||W||^2   with mini-batch SGD.
    """

    def __init__(self, n_classes=10, lr=0.1, reg=1e-3, epochs=5, batch=128, seed=0):
        self.n_classes = n_classes
        self.lr = lr
        self.reg = reg
        self.epochs = epochs
        self.batch = batch
        self.rng = np.random.default_rng(seed)

    def _init(self, n_features):
        self.W_ = self.rng.normal(0, 0.01, (n_features, self.n_classes))
        self.b_ = np.zeros(self.n_classes)

    def predict_proba(self, X):
        s = X.reshape(len(X), -1) @ self.W_ + self.b_
        s -= s.max(axis=1, keepdims=True)
        e = np.exp(s)
        return e / e.sum(axis=1, keepdims=True)

    def loss(self, X, y):
        p = self.predict_proba(X)
        data = -np.log(p[np.arange(len(y)), y] + 1e-15).mean()
        return data + 0.5 * self.reg * np.sum(self.W_ ** 2)

    def gradients(self, X, y):
        n = len(y)
        d = self.predict_proba(X)
        d[np.arange(n), y] -= 1
        gW = X.reshape(n, -1).T @ d / n + self.reg * self.W_
        return gW, d.mean(axis=0)

    def fit(self, X, y):
        X = X.reshape(len(X), -1)
        self._init(X.shape[1])
        self.history_ = []
        for _ in range(self.epochs):
            order = self.rng.permutation(len(X))
            for chunk in np.split(order, range(self.batch, len(X), self.batch)):
                gW, gb = self.gradients(X[chunk], y[chunk])
                self.W_ -= self.lr * gW
                self.b_ -= self.lr * gb
            self.history_.append(self.loss(X, y))
        return self

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def score(self, X, y):
        return float((self.predict(X) == y).mean())
