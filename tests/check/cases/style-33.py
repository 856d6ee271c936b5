import numpy as np
from sklearn.datasets import load_digits
X_all, y_all = load_digits(return_X_y=True)
X_all = X_all / 16.0
W = np.zeros((64, 10))
b = np.zeros(10)
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
def net(X):
    return softmax(X @ W + b)
def cross_entropy(y_hat, y):
    return -np.log(y_hat[np.arange(len(y)), y])
def grad(X, y):
    d = net(X)
    d[np.arange(len(y)), y] -= 1
    return X.T @ d / len(y), d.mean(axis=0)
def accuracy(y_hat, y):
    return (y_hat.argmax(axis=1) == y).mean()
for epoch in range(3):
    for i in range(0, len(X_all), 100):
        dW, db = grad(X_all[i:i + 100], y_all[i:i + 100])
        W -= 0.1 * dW
        b -= 0.1 * db
print(accuracy(net(X_all), y_all))
