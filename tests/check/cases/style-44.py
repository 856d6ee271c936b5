import numpy as np

def init_params():
    W1 = np.random.rand(10, 784) - 0.5
    b1 = np.random.rand(10, 1) - 0.5
    return W1, b1

def softmax(Z):
    Z = Z - np.max(Z, axis=0, keepdims=True)
    A = np.exp(Z) / np.sum(np.exp(Z), axis=0, keepdims=True)
    return A

def forward_prop(W1, b1, X):
    Z1 = W1.dot(X) + b1
    A1 = softmax(Z1)
    return Z1, A1

def one_hot(Y):
    one_hot_Y = np.zeros((Y.size, 10))
    one_hot_Y[np.arange(Y.size), Y] = 1
    return one_hot_Y.T

def back_prop(A1, X, Y):
    m = Y.size
    dZ1 = A1 - one_hot(Y)
    dW1 = 1 / m * dZ1.dot(X.T)
    db1 = 1 / m * np.sum(dZ1, axis=1, keepdims=True)
    return dW1, db1

def update_params(W1, b1, dW1, db1, alpha):
    W1 = W1 - alpha * dW1
    b1 = b1 - alpha * db1
    return W1, b1

def get_predictions(A1):
    return np.argmax(A1, 0)

def get_accuracy(predictions, Y):
    return np.sum(predictions == Y) / Y.size

def gradient_descent(X, Y, alpha, iterations):
    W1, b1 = init_params()
    for i in range(iterations):
        Z1, A1 = forward_prop(W1, b1, X)
        dW1, db1 = back_prop(A1, X, Y)
        W1, b1 = update_params(W1, b1, dW1, db1, alpha)
        if i % 10 == 0:
            print(i, get_accuracy(get_predictions(A1), Y))
    return W1, b1
