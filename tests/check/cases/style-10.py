import numpy as np
W = np.random.uniform(-1, 1, (784, 10)) * 0.05
b = np.zeros(10)

def softmax(z):
    z = z - np.max(z)
    e = np.exp(z)
    return e / np.sum(e)

def forward(x):
    return softmax(x @ W + b)

def cross_entropy(p, label):
    return -np.log(p[label])

def one_hot(label, n=10):
    v = np.zeros(n)
    v[label] = 1
    return v
