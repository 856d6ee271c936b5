"""
Regressione logistica multinomiale, MNIST.

Convenzione da fisico: i campioni sono COLONNE.
    X : (784, N)     pixel in [0,1]
    W : (10, 784)
    b : (10, 1)
    Z = W X + b      "energie" (col segno meno), (10, N)
    P = exp(Z) / Zeta,   Zeta = funzione di partizione di ogni colonna
"""
import numpy as np

K = 10
D = 784


def init(sigma=1e-2, seed=1234):
    rng = np.random.default_rng(seed)
    return sigma * rng.standard_normal((K, D)), np.zeros((K, 1))


def softmax(Z):
    # pesi di Boltzmann; lo zero dell'energia e' arbitrario -> tolgo il massimo
    Z = Z - Z.max(axis=0)
    boltz = np.exp(Z)
    return boltz / boltz.sum(axis=0)


def log_partition(Z):
    m = Z.max(axis=0)
    return m + np.log(np.exp(Z - m).sum(axis=0))


def net(X, W, b):
    return W @ X + b


def loss(Z, y):
    """entropia incrociata media  <ln Zeta - z_y>"""
    return np.mean(log_partition(Z) - Z[y, np.arange(Z.shape[1])])


def one_hot(y):
    T = np.zeros((K, y.size))
    T[y, np.arange(y.size)] = 1.0
    return T


def grad(X, Z, y):
    N = X.shape[1]
    delta = softmax(Z) - one_hot(y)            # (10, N)
    dW = delta @ X.T / N
    db = delta.sum(axis=1, keepdims=True) / N
    return dW, db


def predict(X, W, b):
    return net(X, W, b).argmax(axis=0)


def accuracy(X, y, W, b):
    return float((predict(X, W, b) == y).mean())


def train(X, y, W, b, eta=0.3, passi=2000, M=200, seed=0, ogni=100):
    rng = np.random.default_rng(seed)
    storia = []
    for t in range(passi):
        i = rng.choice(X.shape[1], size=M, replace=False)
        Z = net(X[:, i], W, b)
        dW, db = grad(X[:, i], Z, y[i])
        W -= eta * dW          # in place: W e b sono quelli del chiamante
        b -= eta * db
        if t % ogni == 0:
            storia.append((t, loss(Z, y[i])))
    return storia


# def temperatura(Z, T): return softmax(Z / T)   # esperimento, non usato

if __name__ == "__main__":
    f = np.load("mnist.npz")
    X = f["x_train"].reshape(-1, D).T / 255.0
    W, b = init()
    for t, L in train(X, f["y_train"].astype(int), W, b):
        print(t, L)
    print(accuracy(f["x_test"].reshape(-1, D).T / 255.0, f["y_test"], W, b))
