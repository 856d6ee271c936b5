# http://neuralnetworksanddeeplearning.com-like, one sample at a time
import random
import numpy as np

random.seed(0)
np.random.seed(0)


class Network(object):

    def __init__(self, sizes=(784, 10)):
        self.biases = np.zeros((sizes[1], 1))
        self.weights = np.random.randn(sizes[1], sizes[0]) / np.sqrt(sizes[0])

    def feedforward(self, a):
        z = np.dot(self.weights, a) + self.biases
        e = np.exp(z - np.max(z, axis=0))
        return e / e.sum(axis=0)

    def SGD(self, training_data, epochs, mini_batch_size, eta, test_data=None):
        training_data = list(training_data)
        n = len(training_data)
        for j in range(epochs):
            random.shuffle(training_data)
            mini_batches = [training_data[k:k + mini_batch_size] for k in range(0, n, mini_batch_size)]
            for mini_batch in mini_batches:
                self.update_mini_batch(mini_batch, eta)

    def update_mini_batch(self, mini_batch, eta):
        nabla_b = np.zeros(self.biases.shape)
        nabla_w = np.zeros(self.weights.shape)
        for x, y in mini_batch:
            delta_nabla_b, delta_nabla_w = self.backprop(x, y)
            nabla_b = nabla_b + delta_nabla_b
            nabla_w = nabla_w + delta_nabla_w
        self.weights = self.weights - (eta / len(mini_batch)) * nabla_w
        self.biases = self.biases - (eta / len(mini_batch)) * nabla_b

    def backprop(self, x, y):
        """x (784, 1), y one-hot (10, 1)"""
        delta = self.feedforward(x) - y
        return delta, np.dot(delta, x.transpose())

    def evaluate(self, test_data):
        test_results = [(np.argmax(self.feedforward(x)), y) for (x, y) in test_data]
        return sum(int(x == y) for (x, y) in test_results)


def vectorized_result(j):
    e = np.zeros((10, 1))
    e[j] = 1.0
    return e


net = Network()
