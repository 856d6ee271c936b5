import torch


class SGD:
    def __init__(self, params, lr):
        self.params, self.lr = params, lr

    def step(self):
        for p in self.params:
            p.data = p.data - self.lr * p.grad

    def zero_grad(self):
        for p in self.params:
            if p.grad is not None:
                p.grad.zero_()


class SoftmaxRegressionScratch:
    def __init__(self, num_inputs=784, num_outputs=10, lr=0.1, sigma=0.01):
        self.lr = lr
        self.W = torch.normal(0, sigma, size=(num_inputs, num_outputs), requires_grad=True)
        self.b = torch.zeros(num_outputs, requires_grad=True)

    def parameters(self):
        return [self.W, self.b]

    @staticmethod
    def softmax(X):
        X_exp = torch.exp(X - X.max(1, keepdim=True)[0])
        return X_exp / X_exp.sum(1, keepdims=True)

    def forward(self, X):
        X = X.reshape((-1, self.W.shape[0]))
        return self.softmax(torch.matmul(X, self.W) + self.b)

    __call__ = forward

    def loss(self, y_hat, y):
        return -torch.log(y_hat[list(range(len(y_hat))), y]).mean()

    def accuracy(self, Y_hat, Y, averaged=True):
        preds = Y_hat.argmax(axis=1).type(Y.dtype)
        compare = (preds == Y.reshape(-1)).type(Y_hat.dtype)
        return compare.mean() if averaged else compare

    def training_step(self, batch):
        return self.loss(self(*batch[:-1]), batch[-1])

    def validation_step(self, batch):
        Y_hat = self(*batch[:-1])
        return self.loss(Y_hat, batch[-1]), self.accuracy(Y_hat, batch[-1], averaged=False)

    def configure_optimizers(self):
        return SGD(self.parameters(), self.lr)


class Trainer:
    def __init__(self, model, max_epochs=10):
        self.model, self.max_epochs = model, max_epochs
        self.optim = model.configure_optimizers()
        self.train_batch_idx = 0

    def fit_epoch(self, train_dataloader, val_dataloader=None):
        for batch in train_dataloader:
            loss = self.model.training_step(batch)
            self.optim.zero_grad()
            with torch.no_grad():
                # (grad is recorded outside, this is only as the book has it)
                with torch.enable_grad():
                    loss.backward()
                self.optim.step()
            self.train_batch_idx += 1
        if val_dataloader is None:
            return None
        with torch.no_grad():
            compare = torch.cat([self.model.validation_step(batch)[1] for batch in val_dataloader])
        return compare.mean().item()
