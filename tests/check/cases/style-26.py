import numpy as np
rng = np.random.default_rng(42)
weights = rng.normal(scale=0.01, size=(784, 10))
bias = np.zeros(10)
learning_rate = 0.1
def predict_proba(x):
    logits = x @ weights + bias
    logits = logits - logits.max(-1, keepdims=True)
    p = np.exp(logits)
    return p / p.sum(-1, keepdims=True)
def loss_fn(probs, labels):
    return -np.log(probs[np.arange(len(labels)), labels] + 1e-15).mean()
def backward(x, probs, labels):
    delta = probs - np.eye(10)[labels]
    return x.T @ delta / len(x), delta.mean(0)
def step(grads):
    global weights, bias
    gw, gb = grads
    weights = weights - learning_rate * gw
    bias = bias - learning_rate * gb
def train_epoch(batches):
    total, correct, n = 0, 0, 0
    for x, labels in batches:
        probs = predict_proba(x)
        total += loss_fn(probs, labels) * len(x)
        correct += (probs.argmax(-1) == labels).sum()
        n += len(x)
        step(backward(x, probs, labels))
    return total / n, correct / n
