import numpy as np

def softmax_loss(W, X, y, reg):
    """no bias"""
    scores = X.dot(W)
    scores -= np.max(scores, axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    N = X.shape[0]
    loss = -np.log(p[np.arange(N), y]).sum() / N + reg * np.sum(W * W)
    d = p.copy()
    d[np.arange(N), y] -= 1
    dW = X.T.dot(d) / N + 2 * reg * W
    return loss, dW
