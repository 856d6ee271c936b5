"""A NumPy stand-in for sklearn.linear_model.SGDClassifier(loss="log_loss"), multinomial.

The maths are plain functions of (W, b, X, y); the estimator at the bottom only
keeps the state and offers fit / predict / score as scikit-learn does.
"""
import numpy as np


def _check_X(X):
    X = np.asarray(X)
    return X.reshape(X.shape[0], -1)


def decision_function(W, b, X):
    return _check_X(X) @ W + b


def log_softmax(Z):
    Z = Z - Z.max(axis=1, keepdims=True)
    return Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))


def softmax(Z):
    return np.exp(log_softmax(Z))


def one_hot(y, n_classes=10):
    return np.eye(n_classes)[np.asarray(y)]


def init_params(seed=None, n_features=784, n_classes=10):
    # convex problem: zeros are a perfectly good start (as in sklearn); the seed is unused
    return np.zeros((n_features, n_classes)), np.zeros(n_classes)


def loss(W, b, X, y, alpha=0.0):
    """Mean log loss + alpha/2 * ||W||^2 (the intercept is not penalised)."""
    logp = log_softmax(decision_function(W, b, X))
    data_term = -logp[np.arange(len(logp)), np.asarray(y)].mean()
    return data_term + 0.5 * alpha * np.sum(W ** 2)


def gradients(W, b, X, y, alpha=0.0):
    X = _check_X(X)
    residual = softmax(decision_function(W, b, X))
    residual[np.arange(len(X)), np.asarray(y)] -= 1.0
    residual /= len(X)
    return X.T @ residual + alpha * W, residual.sum(axis=0)


def accuracy(W, b, X, y):
    return float(np.mean(decision_function(W, b, X).argmax(axis=1) == np.asarray(y)))


def train_epoch(W, b, data_iter, lr=0.1, alpha=0.0):
    """Works in place on W and b, and also returns them."""
    for X, y in data_iter:
        grad_W, grad_b = gradients(W, b, X, y, alpha)
        W -= lr * grad_W
        b -= lr * grad_b
    return W, b


class SoftmaxRegression:
    def __init__(self, eta0=0.1, alpha=0.0, max_iter=10, batch_size=256, random_state=None):
        self.eta0 = eta0
        self.alpha = alpha
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.random_state = random_state

    def _batches(self, X, y, rng):
        order = rng.permutation(len(X))
        for start in range(0, len(X), self.batch_size):
            idx = order[start:start + self.batch_size]
            yield X[idx], y[idx]

    def fit(self, X, y):
        X, y = _check_X(X), np.asarray(y)
        rng = np.random.RandomState(self.random_state)
        self.coef_, self.intercept_ = init_params(n_features=X.shape[1])
        for _ in range(self.max_iter):
            train_epoch(self.coef_, self.intercept_, self._batches(X, y, rng),
                        self.eta0, self.alpha)
        return self

    def predict_proba(self, X):
        return softmax(decision_function(self.coef_, self.intercept_, X))

    def predict(self, X):
        return decision_function(self.coef_, self.intercept_, X).argmax(axis=1)

    def score(self, X, y):
        return accuracy(self.coef_, self.intercept_, X, y)
