import numpy as np

rng = np.random.default_rng(42)
D, K = 784, 10
W = rng.normal(0, 0.01, (D, K))
b = np.zeros((1, K))
step_size = 1e-1
reg = 1e-3


def evaluate_scores(X):
    return np.dot(X, W) + b


def softmax(scores):
    exp_scores = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    return exp_scores / np.sum(exp_scores, axis=1, keepdims=True)


def compute_loss(probs, y):
    num_examples = len(y)
    correct_logprobs = -np.log(probs[range(num_examples), y])
    data_loss = np.sum(correct_logprobs) / num_examples
    reg_loss = 0.5 * reg * np.sum(W * W)
    return data_loss + reg_loss


def compute_gradients(X, probs, y):
    num_examples = X.shape[0]
    dscores = probs.copy()
    dscores[range(num_examples), y] -= 1
    dscores /= num_examples
    dW = np.dot(X.T, dscores)
    db = np.sum(dscores, axis=0, keepdims=True)
    dW += reg * W
    return dW, db


def update(dW, db):
    global W, b
    W += -step_size * dW
    b += -step_size * db


def train_epoch(data_iter):
    for X, y in data_iter:
        X = X.reshape(X.shape[0], -1)
        probs = softmax(evaluate_scores(X))
        dW, db = compute_gradients(X, probs, y)
        update(dW, db)
