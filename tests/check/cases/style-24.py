import torch
class Trainer:
    def __init__(self, params, lr):
        self.params, self.lr = params, lr
    def step(self, batch_size):
        for p in self.params:
            p.data -= self.lr * p.grad / batch_size
            p.grad.zero_()
W = torch.normal(0, 0.01, (784, 10), requires_grad=True)
b = torch.zeros(10, requires_grad=True)
def net(X):
    return X.reshape(-1, 784) @ W + b
loss = torch.nn.CrossEntropyLoss(reduction="none")
trainer = Trainer([W, b], 0.1)
def train_epoch(net, train_iter, loss, trainer):
    train_l, n = 0.0, 0
    for X, y in train_iter:
        l = loss(net(X), y).sum()
        l.backward()
        trainer.step(len(X))
        train_l += l.item()
        n += len(y)
    return train_l / n
