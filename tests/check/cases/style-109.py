"""Everything with plain loops over the classes so that I understand it."""
import numpy as np
from math import log


class LogisticaMulticlasse:
    def __init__(self, taxa=0.05, epocas=3, lote=64):
        self.taxa, self.epocas, self.lote = taxa, epocas, lote
        self.pesos = np.zeros((10, 784))       # one row of weights per class
        self.vies = np.zeros(10)

    def escores(self, x):
        # x: one picture, flat
        return [float(self.pesos[k].dot(x)) + self.vies[k] for k in range(10)]

    def softmax(self, z):
        maior = max(z)
        e = [np.exp(v - maior) for v in z]
        s = sum(e)
        return [v / s for v in e]

    def codifica(self, y):
        # one-hot label
        alvo = [0.0] * 10
        alvo[int(y)] = 1.0
        return alvo

    def perda(self, X, y):
        total = 0.0
        for x, rotulo in zip(X, y):
            p = self.softmax(self.escores(x.ravel()))
            total += -log(max(p[int(rotulo)], 1e-300))
        return total / len(y)

    def gradientes(self, X, y):
        gp = np.zeros_like(self.pesos)
        gv = np.zeros_like(self.vies)
        for x, rotulo in zip(X, y):
            x = x.ravel()
            p = self.softmax(self.escores(x))
            alvo = self.codifica(rotulo)
            for k in range(10):
                erro = p[k] - alvo[k]
                gp[k] += erro * x
                gv[k] += erro
        return gp / len(y), gv / len(y)

    def fit(self, X, y):
        for _ in range(self.epocas):
            ordem = np.random.permutation(len(X))
            for i in range(0, len(X), self.lote):
                quais = ordem[i:i + self.lote]
                gp, gv = self.gradientes(X[quais], y[quais])
                self.pesos = self.pesos - self.taxa * gp
                self.vies = self.vies - self.taxa * gv
        return self

    def predict(self, X):
        return np.array([int(np.argmax(self.escores(x.ravel()))) for x in X])

    def accuracy(self, X, y):
        acertos = 0
        for prev, real in zip(self.predict(X), y):
            if prev == real:
                acertos += 1
        return acertos / len(y)
