# Keras user
import numpy as np
import torch


class Dense:
    def __init__(self, units=10, input_shape=784, activation="softmax"):
        limit = np.sqrt(6 / (units + input_shape))
        self.kernel = torch.empty(input_shape, units).uniform_(-limit, limit).requires_grad_()
        self.bias = torch.zeros(units, requires_grad=True)
        self.activation = activation

    def call(self, inputs):
        z = torch.flatten(inputs, 1) @ self.kernel + self.bias
        return torch.softmax(z, dim=-1) if self.activation == "softmax" else z

    __call__ = call

    @property
    def trainable_weights(self):
        return [self.kernel, self.bias]


def sparse_categorical_crossentropy(y_true, y_pred):
    p = y_pred[torch.arange(len(y_true)), y_true.long()]
    return -torch.log(p + 1e-7)


class SGD:
    def __init__(self, learning_rate=0.01):
        self.learning_rate = learning_rate

    def apply_gradients(self, grads_and_vars):
        with torch.no_grad():
            for g, v in grads_and_vars:
                v -= self.learning_rate * g


model = Dense()
optimizer = SGD(0.1)


def train_step(x, y):
    loss = sparse_categorical_crossentropy(y, model(x)).mean()
    grads = torch.autograd.grad(loss, model.trainable_weights)
    optimizer.apply_gradients(zip(grads, model.trainable_weights))
    return loss.item()


def train_epoch(dataset):
    total, count = 0.0, 0
    for x, y in dataset:
        total += train_step(x, y) * len(y)
        count += len(y)
    return total / count


def sparse_categorical_accuracy(y_true, y_pred):
    return (y_pred.argmax(-1) == y_true).float()


def evaluate(dataset):
    acc = [sparse_categorical_accuracy(y, model(x)) for x, y in dataset]
    return torch.cat(acc).mean().item()
