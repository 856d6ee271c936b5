"""Object-oriented version (Module / Trainer), after the newer edition of the book,
but without the d2l package so that I understand all the parts."""
import torch
from torch import nn


class HyperParameters:
    def save_hyperparameters(self, **kw):
        for k, v in kw.items():
            setattr(self, k, v)


def softmax(X):
    X_exp = torch.exp(X - torch.max(X, dim=1, keepdim=True)[0])
    partition = X_exp.sum(1, keepdims=True)
    return X_exp / partition


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[list(range(len(y_hat))), y]).mean()


class Classifier(nn.Module, HyperParameters):
    def accuracy(self, Y_hat, Y, averaged=True):
        Y_hat = Y_hat.reshape((-1, Y_hat.shape[-1]))
        preds = Y_hat.argmax(axis=1).type(Y.dtype)
        compare = (preds == Y.reshape(-1)).type(torch.get_default_dtype())
        return compare.mean() if averaged else compare

    def training_step(self, batch):
        return self.loss(self(*batch[:-1]), batch[-1])

    def validation_step(self, batch):
        Y_hat = self(*batch[:-1])
        return self.loss(Y_hat, batch[-1]), self.accuracy(Y_hat, batch[-1])


class SoftmaxRegressionScratch(Classifier):
    def __init__(self, num_inputs, num_outputs, lr, sigma=0.01):
        super().__init__()
        self.save_hyperparameters(num_inputs=num_inputs, num_outputs=num_outputs, lr=lr)
        self.W = nn.Parameter(torch.normal(0, sigma, size=(num_inputs, num_outputs)))
        self.b = nn.Parameter(torch.zeros(num_outputs))

    def forward(self, X):
        X = X.reshape((-1, self.W.shape[0]))
        return softmax(torch.matmul(X, self.W) + self.b)

    def loss(self, y_hat, y):
        return cross_entropy(y_hat, y)

    def configure_optimizers(self):
        return SGD([self.W, self.b], self.lr)


class SGD(HyperParameters):
    def __init__(self, params, lr):
        self.save_hyperparameters(params=params, lr=lr)

    def step(self):
        with torch.no_grad():
            for param in self.params:
                param -= self.lr * param.grad

    def zero_grad(self):
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()


class Trainer(HyperParameters):
    def __init__(self, max_epochs, gradient_clip_val=0):
        self.save_hyperparameters(max_epochs=max_epochs, gradient_clip_val=gradient_clip_val)

    def fit(self, model, train_dataloader, val_dataloader=None):
        self.model = model
        self.optim = model.configure_optimizers()
        self.train_dataloader, self.val_dataloader = train_dataloader, val_dataloader
        self.val_results = []
        for self.epoch in range(self.max_epochs):
            self.fit_epoch()

    def fit_epoch(self):
        self.model.train()
        for batch in self.train_dataloader:
            loss = self.model.training_step(batch)
            self.optim.zero_grad()
            loss.backward()
            if self.gradient_clip_val > 0:
                self.clip_gradients(self.gradient_clip_val, self.model)
            self.optim.step()
        if self.val_dataloader is None:
            return
        self.model.eval()
        with torch.no_grad():
            tot_l = tot_a = n = 0
            for batch in self.val_dataloader:
                l, a = self.model.validation_step(batch)
                k = len(batch[-1])
                tot_l, tot_a, n = tot_l + float(l) * k, tot_a + float(a) * k, n + k
        self.val_results.append((tot_l / n, tot_a / n))

    def clip_gradients(self, grad_clip_val, model):
        params = [p for p in model.parameters() if p.requires_grad]
        norm = torch.sqrt(sum(torch.sum((p.grad ** 2)) for p in params))
        if norm > grad_clip_val:
            for param in params:
                param.grad[:] *= grad_clip_val / norm
