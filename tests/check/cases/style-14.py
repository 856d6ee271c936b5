import numpy as np

def data_iter(X, y, batch_size, rng=np.random.default_rng(0)):
    order = rng.permutation(len(X))
    for start in range(0, len(X), batch_size):
        chosen = order[start:start + batch_size]
        yield X[chosen], y[chosen]

def softmax(scores):
    scores = scores - scores.max(axis=1)[:, None]
    exp = np.exp(scores)
    return exp / exp.sum(axis=1)[:, None]

def forward(X, params):
    return softmax(X @ params["W"] + params["b"])

def cross_entropy(probs, y):
    return -np.mean(np.log(probs[np.arange(len(y)), y]))

def gradients(X, y, probs):
    d = probs.copy()
    d[np.arange(len(y)), y] -= 1
    d /= len(y)
    return {"W": X.T @ d, "b": d.sum(axis=0)}

def update(params, grads, lr):
    for name in params:
        params[name] -= lr * grads[name]
