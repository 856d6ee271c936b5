"""
softmax_network.py
~~~~~~~~~~~~~~~~~~

After network2.py of "Neural Networks and Deep Learning", stripped to no hidden
layer: a softmax output layer with the log-likelihood cost (chapter 3).
Training data is a list of tuples ``(x, y)``; x is a (784, 1) column and y the
vectorized result, a (10, 1) column.
"""
import random

import numpy as np


def softmax(z):
    e = np.exp(z - np.max(z))   # z is a single column
    return e / np.sum(e)


def vectorized_result(j):
    e = np.zeros((10, 1))
    e[j] = 1.0
    return e


class LogLikelihoodCost(object):

    @staticmethod
    def fn(z, y):
        """Cost of one example, from the weighted input ``z``."""
        top = np.max(z)
        return float(top + np.log(np.sum(np.exp(z - top))) - np.sum(y * z))

    @staticmethod
    def delta(a, y):
        return a - y


class Network(object):

    def __init__(self, sizes=(784, 10), cost=LogLikelihoodCost):
        self.sizes = sizes
        self.cost = cost
        self.default_weight_initializer()

    def default_weight_initializer(self):
        n_in, n_out = self.sizes
        self.biases = np.zeros((n_out, 1))
        self.weights = np.random.randn(n_out, n_in) / np.sqrt(n_in)

    def feedforward(self, x):
        return softmax(np.dot(self.weights, x) + self.biases)

    def backprop(self, x, y):
        delta = self.cost.delta(self.feedforward(x), y)
        nabla_b = delta
        nabla_w = np.dot(delta, x.transpose())
        return nabla_b, nabla_w

    def update_mini_batch(self, mini_batch, eta):
        nabla_b = np.zeros(self.biases.shape)
        nabla_w = np.zeros(self.weights.shape)
        for x, y in mini_batch:
            delta_nabla_b, delta_nabla_w = self.backprop(x, y)
            nabla_b = nabla_b + delta_nabla_b
            nabla_w = nabla_w + delta_nabla_w
        self.weights = self.weights - (eta / len(mini_batch)) * nabla_w
        self.biases = self.biases - (eta / len(mini_batch)) * nabla_b

    def SGD(self, training_data, epochs, mini_batch_size, eta, evaluation_data=None):
        n = len(training_data)
        for j in range(epochs):
            random.shuffle(training_data)
            mini_batches = [training_data[k:k + mini_batch_size]
                            for k in range(0, n, mini_batch_size)]
            for mini_batch in mini_batches:
                self.update_mini_batch(mini_batch, eta)
            if evaluation_data:
                print("Epoch {0}: {1} / {2}".format(
                    j, self.accuracy(evaluation_data), len(evaluation_data)))

    def accuracy(self, data):
        """Number of inputs for which the network outputs the correct result."""
        results = [(np.argmax(self.feedforward(x)), np.argmax(y)) for (x, y) in data]
        return sum(int(x == y) for (x, y) in results)

    def total_cost(self, data):
        cost = 0.0
        for x, y in data:
            cost += self.cost.fn(np.dot(self.weights, x) + self.biases, y) / len(data)
        return cost
