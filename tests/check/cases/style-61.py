"""Keras habits, PyTorch engine.

    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy",
                  metrics=["accuracy"])

is what I'd normally type.  Here are the few lines behind it.
"""
import torch
from torch import nn
from torch.nn import functional as F


class Dense(nn.Linear):
    """Dense(units, activation) with Glorot kernel and zero bias"""

    def __init__(self, in_features, units, activation=None):
        super().__init__(in_features, units)
        self.activation = activation
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, inputs):
        out = super().forward(inputs)
        return out if self.activation is None else self.activation(out)


def log_probs(z):
    return F.log_softmax(z, dim=-1)


net = nn.Sequential(nn.Flatten(start_dim=1), Dense(784, 10, activation=log_probs))

# CrossEntropyLoss normalises once more; log_softmax of something that is already
# a log-probability changes nothing (its logsumexp is 0), so this is still the NLL.
loss = nn.CrossEntropyLoss(reduction="sum")
_mean = lambda total, n: total / n

updater = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0)


class SparseCategoricalAccuracy:
    def __init__(self):
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0

    def update_state(self, y_true, y_pred):
        match = y_true == y_pred.argmax(dim=-1)
        self.total += match.sum().item()
        self.count += match.numel()

    def result(self):
        return self.total / self.count


def train_step(net, x, y, loss, optimizer):
    optimizer.zero_grad()
    y_pred = net(x)
    total = loss(y_pred, y)
    _mean(total, y.shape[0]).backward()
    optimizer.step()
    return total.item(), y_pred.detach()


def train_epoch(net, train_iter, loss, optimizer):
    net.train()
    acc, loss_sum = SparseCategoricalAccuracy(), 0.0
    for x, y in train_iter:
        batch_loss, y_pred = train_step(net, x, y, loss, optimizer)
        loss_sum += batch_loss
        acc.update_state(y, y_pred)
    return loss_sum / acc.count, acc.result()


def evaluate_accuracy(net, data_iter):
    net.eval()
    acc = SparseCategoricalAccuracy()
    for x, y in data_iter:
        with torch.no_grad():
            acc.update_state(y, net(x))
    return acc.result()
