import numpy as np

def initialize_parameters(n_x=784, n_y=10, seed=1):
    np.random.seed(seed)
    W = np.random.randn(n_y, n_x) * 0.01
    b = np.zeros((n_y, 1))
    return W, b

def softmax(Z):
    e = np.exp(Z - np.max(Z, axis=0, keepdims=True))
    return e / np.sum(e, axis=0, keepdims=True)

def forward(X, W, b):
    Z = np.dot(W, X) + b
    A = softmax(Z)
    return A

def one_hot(y, num_classes=10):
    return np.eye(num_classes)[y].T

def compute_cost(A, Y):
    m = Y.shape[1]
    return -np.sum(Y * np.log(A + 1e-9)) / m

def backward(X, A, Y):
    m = X.shape[1]
    dZ = A - Y
    dW = np.dot(dZ, X.T) / m
    db = np.sum(dZ, axis=1, keepdims=True) / m
    return dW, db

def update_parameters(W, b, dW, db, learning_rate):
    W = W - learning_rate * dW
    b = b - learning_rate * db
    return W, b
