import numpy as np

# -----------------------------------------------------------
#  MNIST softmax regression -- plain functions, params in dict
# -----------------------------------------------------------

def init_params(n_features=784, n_classes=10, scale=0.01, seed=None):
    np.random.seed(seed)
    params = {}
    params['W'] = scale * np.random.randn(n_features, n_classes)
    params['b'] = np.zeros(n_classes)
    return params


def softmax(logits):
    z = logits - np.max(logits, axis=-1, keepdims=True)
    ez = np.exp(z)
    return ez / np.sum(ez, axis=-1, keepdims=True)


# old version, slow but clear. not used any more
def softmax_loop(logits):
    out = np.empty_like(logits, dtype=float)
    for i, row in enumerate(logits):
        e = [np.exp(v - max(row)) for v in row]
        s = sum(e)
        out[i] = [v / s for v in e]
    return out


def forward(params, X):
    logits = X @ params['W'] + params['b']
    probs = softmax(logits)
    cache = (X, probs)
    return probs, cache


def cross_entropy(probs, y):
    n = y.shape[0]
    p_true = probs[np.arange(n), y]
    p_true = np.maximum(p_true, 1e-300)
    return -np.log(p_true).sum() / n


def backward(cache, y):
    X, probs = cache
    n = y.shape[0]
    dlogits = probs.copy()
    dlogits[np.arange(n), y] -= 1.
    dlogits /= n
    return {'W': X.T @ dlogits, 'b': dlogits.sum(0)}


def sgd(params, grads, lr=0.1):
    for k in ('W', 'b'):
        params[k] = params[k] - lr * grads[k]
    return params


def accuracy(probs, y):
    return float(np.sum(np.argmax(probs, 1) == y)) / y.shape[0]


def get_batches(X, y, batch_size, shuffle=True, drop_last=False):
    n = len(X)
    ids = np.random.permutation(n) if shuffle else np.arange(n)
    stop = n - n % batch_size if drop_last else n
    for s in range(0, stop, batch_size):
        b = ids[s:s + batch_size]
        yield X[b], y[b]


def train_epoch(params, X, y, lr, batch_size):
    """one pass. returns dict with mean loss and accuracy (measured before each update)"""
    n_seen, sum_loss, sum_acc = 0, 0., 0.
    for Xb, yb in get_batches(X, y, batch_size):
        probs, cache = forward(params, Xb)
        sum_loss += cross_entropy(probs, yb) * len(yb)
        sum_acc += accuracy(probs, yb) * len(yb)
        n_seen += len(yb)
        sgd(params, backward(cache, yb), lr)
    return {'loss': sum_loss / n_seen, 'acc': sum_acc / n_seen}


def train(X_train, y_train, X_test, y_test, epochs=10, lr=0.1, batch_size=128):
    params = init_params(X_train.shape[1])
    for ep in range(epochs):
        m = train_epoch(params, X_train, y_train, lr, batch_size)
        test_probs, _ = forward(params, X_test)
        m['test_acc'] = accuracy(test_probs, y_test)
        print('Epoch', ep, m)
    return params


def predict(params, X, return_probs=False):
    probs, _ = forward(params, X)
    if return_probs:
        return probs
    return probs.argmax(axis=1)
