"""
Softmax regression, deeplearning.ai style (one example per column).
Grew out of the cat / non-cat notebook.
"""
import copy
import numpy as np


def initialize_with_zeros(dim, classes=10):
    w = np.zeros((dim, classes))
    b = np.zeros((classes, 1))
    return w, b


def convert_to_one_hot(Y, C):
    return np.eye(C)[Y.reshape(-1)].T


def softmax(z):
    """z: (classes, m)"""
    s = np.exp(z - np.max(z, axis=0, keepdims=True))
    return s / np.sum(s, axis=0, keepdims=True)


def propagate(w, b, X, Y):
    """
    w -- weights, (784, classes)
    b -- bias, (classes, 1)
    X -- data, (784, m)
    Y -- one-hot "label" matrix, (classes, m)
    """
    m = X.shape[1]

    # FORWARD
    A = softmax(np.dot(w.T, X) + b)
    cost = -1 / m * np.sum(np.log(np.sum(Y * A, axis=0)))   # only the true class survives

    # BACKWARD
    dw = 1 / m * np.dot(X, (A - Y).T)
    db = 1 / m * np.sum(A - Y, axis=1, keepdims=True)

    grads = {"dw": dw, "db": db}
    return grads, np.squeeze(cost)


def optimize(w, b, X, Y, num_iterations=100, learning_rate=0.1, print_cost=False):
    w = copy.deepcopy(w)
    b = copy.deepcopy(b)
    costs = []
    for i in range(num_iterations):
        grads, cost = propagate(w, b, X, Y)
        w = w - learning_rate * grads["dw"]
        b = b - learning_rate * grads["db"]
        if i % 10 == 0:
            costs.append(cost)
            if print_cost:
                print("Cost after iteration %i: %f" % (i, cost))
    params = {"w": w, "b": b}
    return params, grads, costs


def predict(w, b, X):
    A = softmax(np.dot(w.T, X) + b)
    return np.argmax(A, axis=0).reshape(1, X.shape[1])


def accuracy(Y_prediction, Y):
    """both (1, m), in percent"""
    return 100 - np.mean(Y_prediction != Y) * 100


def model(X_train, Y_train, X_test, Y_test, num_iterations=200, learning_rate=0.1, print_cost=False):
    w, b = initialize_with_zeros(X_train.shape[0])
    Yh = convert_to_one_hot(Y_train, 10)
    params, grads, costs = optimize(w, b, X_train, Yh, num_iterations, learning_rate, print_cost)
    w, b = params["w"], params["b"]
    p_test = predict(w, b, X_test)
    p_train = predict(w, b, X_train)
    if print_cost:
        print("train accuracy: {} %".format(accuracy(p_train, Y_train)))
        print("test accuracy: {} %".format(accuracy(p_test, Y_test)))
    return {"costs": costs, "Y_prediction_test": p_test, "Y_prediction_train": p_train,
            "w": w, "b": b, "learning_rate": learning_rate}
