"""Multinomial logistic regression, scikit-learn flavoured.

I wanted something I could drop into a Pipeline, so fit/predict/score.
Maximises the mean log-likelihood (gradient *ascent*), as in the lecture notes.
"""
import numpy as np


def softmax(scores):
    scores = np.asarray(scores, dtype=float)
    shifted = scores - scores.max(axis=1, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def one_hot(labels, classes):
    return (np.asarray(labels)[:, None] == classes[None, :]).astype(float)


class SoftmaxRegression:
    def __init__(self, eta=0.1, n_iter=20, batch_size=128, l2=0.0,
                 tol=None, random_state=None, verbose=False):
        self.eta = eta
        self.n_iter = n_iter
        self.batch_size = batch_size
        self.l2 = l2
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    # -- sklearn plumbing -------------------------------------------------
    def get_params(self, deep=True):
        return {k: getattr(self, k) for k in
                ("eta", "n_iter", "batch_size", "l2", "tol", "random_state", "verbose")}

    def set_params(self, **kw):
        for k, v in kw.items():
            setattr(self, k, v)
        return self

    # -- model ------------------------------------------------------------
    def init_params(self, n_features, n_classes):
        rng = np.random.default_rng(self.random_state)
        self.coef_ = rng.normal(0.0, 0.01, size=(n_classes, n_features))
        self.intercept_ = np.zeros(n_classes)
        return self

    def decision_function(self, X):
        return X @ self.coef_.T + self.intercept_

    def predict_proba(self, X):
        return softmax(self.decision_function(X))

    def predict(self, X):
        return self.classes_[self.decision_function(X).argmax(axis=1)]

    def log_likelihood(self, X, Y):
        Z = self.decision_function(X)
        m = Z.max(axis=1)
        lse = m + np.log(np.exp(Z - m[:, None]).sum(axis=1))
        return np.mean((Z * Y).sum(axis=1) - lse) - 0.5 * self.l2 * (self.coef_ ** 2).sum()

    def loss(self, X, Y):
        return -self.log_likelihood(X, Y)

    def gradients(self, X, Y):
        """d logL / d coef, d logL / d intercept  (note: likelihood, not loss)"""
        R = (Y - self.predict_proba(X)) / X.shape[0]
        return R.T @ X - self.l2 * self.coef_, R.sum(axis=0)

    def fit(self, X, y):
        X = np.asarray(X, dtype=float)
        self.classes_ = np.unique(y)
        Y = one_hot(y, self.classes_)
        self.init_params(X.shape[1], len(self.classes_))
        rng = np.random.default_rng(self.random_state)
        self.history_ = []
        for it in range(self.n_iter):
            order = rng.permutation(len(X))
            for s in range(0, len(X), self.batch_size):
                idx = order[s:s + self.batch_size]
                gW, gb = self.gradients(X[idx], Y[idx])
                self.coef_ += self.eta * gW
                self.intercept_ += self.eta * gb
            self.history_.append(self.loss(X, Y))
            if self.verbose:
                print(f"iter {it:3d}  loss {self.history_[-1]:.4f}")
            if self.tol is not None and it > 0 and \
                    self.history_[-2] - self.history_[-1] < self.tol:
                break
        return self

    def score(self, X, y):
        return float(np.mean(self.predict(X) == np.asarray(y)))
