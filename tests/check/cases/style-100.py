"""Softmax regression from scratch, object version (like the 1.0 edition of the book)."""
import torch


def softmax(X):
    # row max
    c, _ = torch.max(X, dim=1, keepdim=True)
    X_exp = torch.exp(X - c)
    partition = X_exp.sum(1, keepdims=True)
    return X_exp / partition


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[list(range(len(y_hat))), y]).mean()


class SGD:
    """Minibatch stochastic gradient descent (loss is already a mean)."""

    def __init__(self, params, lr):
        self.params, self.lr = list(params), lr

    def step(self):
        with torch.no_grad():
            for param in self.params:
                param -= self.lr * param.grad

    def zero_grad(self):
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()


class SoftmaxRegressionScratch:
    def __init__(self, num_inputs=784, num_outputs=10, lr=0.1, sigma=0.01):
        self.num_inputs, self.lr = num_inputs, lr
        self.W = torch.normal(0, sigma, size=(num_inputs, num_outputs), requires_grad=True)
        self.b = torch.zeros(num_outputs, requires_grad=True)

    def parameters(self):
        return [self.W, self.b]

    def forward(self, X):
        X = X.reshape((-1, self.W.shape[0]))
        return softmax(torch.matmul(X, self.W) + self.b)

    __call__ = forward

    def loss(self, y_hat, y):
        return cross_entropy(y_hat, y)

    def accuracy(self, Y_hat, Y, averaged=True):
        preds = Y_hat.argmax(axis=1).type(Y.dtype)
        compare = (preds == Y).type(torch.float32)
        return compare.mean() if averaged else compare

    def configure_optimizers(self):
        return SGD(self.parameters(), self.lr)


class Trainer:
    def __init__(self, max_epochs=10):
        self.max_epochs = max_epochs
        self.board = []

    def fit_epoch(self, model, optim, train_dataloader):
        total, n = 0.0, 0
        for X, y in train_dataloader:
            l = model.loss(model(X), y)
            optim.zero_grad()
            l.backward()
            optim.step()
            total += l.item() * len(y)
            n += len(y)
        return total / n

    def evaluate(self, model, val_dataloader):
        hits = []
        with torch.no_grad():
            for X, y in val_dataloader:
                hits.append(model.accuracy(model(X), y, averaged=False))
        return torch.cat(hits).mean().item()

    def fit(self, model, train_dataloader, val_dataloader):
        optim = model.configure_optimizers()
        for _ in range(self.max_epochs):
            tl = self.fit_epoch(model, optim, train_dataloader)
            self.board.append((tl, self.evaluate(model, val_dataloader)))
        return self.board
