"""softmax_regression.py

Softmax regression without magic one-liners.  I come from C++, so everything
that can be a loop is a loop; slow, but I can see what happens.
"""
from typing import List, Tuple

import torch
from torch import Tensor

NUM_INPUTS: int = 28 * 28
NUM_OUTPUTS: int = 10

batch_size: int = 128
lr: float = 0.1

W: Tensor = torch.empty(NUM_INPUTS, NUM_OUTPUTS).normal_(0.0, 0.01).requires_grad_(True)
b: Tensor = torch.zeros(NUM_OUTPUTS).requires_grad_(True)


def softmax(X: Tensor) -> Tensor:
    rows: List[Tensor] = []
    for i in range(X.size(0)):
        row = X[i]
        e = torch.exp(row - torch.max(row))
        rows.append(e / torch.sum(e))
    return torch.stack(rows)


def net(X: Tensor) -> Tensor:
    flat = X.reshape(X.size(0), NUM_INPUTS)
    logits = torch.addmm(b, flat, W)
    return softmax(logits)


def cross_entropy(y_hat: Tensor, y: Tensor) -> Tensor:
    losses: List[Tensor] = []
    for i in range(y.numel()):
        losses.append(-torch.log(y_hat[i][int(y[i])]))
    return torch.stack(losses)


def arg_max(row: List[float]) -> int:
    best = 0
    for j in range(1, NUM_OUTPUTS):
        if row[j] > row[best]:
            best = j
    return best


def accuracy(y_hat: Tensor, y: Tensor) -> int:
    """Number of hits, not a ratio."""
    hits = 0
    rows = y_hat.tolist()
    labels = y.tolist()
    for row, label in zip(rows, labels):
        if arg_max(row) == label:
            hits += 1
    return hits


def evaluate_accuracy(net, data_iter) -> float:
    hits = 0
    total = 0
    with torch.no_grad():
        for X, y in data_iter:
            hits += accuracy(net(X), y)
            total += y.numel()
    return hits / total


def sgd(params, lr: float, batch_size: int) -> None:
    with torch.no_grad():
        for p in params:
            p -= lr * p.grad / batch_size
            p.grad.zero_()


def updater(batch_size: int) -> None:
    sgd([W, b], lr, batch_size)


def train_epoch(net, train_iter, loss, updater) -> Tuple[float, float]:
    loss_sum = 0.0
    hits = 0
    total = 0
    for X, y in train_iter:
        y_hat = net(X)
        l = loss(y_hat, y).sum()
        l.backward()
        updater(X.size(0))
        loss_sum += l.item()
        hits += accuracy(y_hat.detach(), y)
        total += y.numel()
    return loss_sum / total, hits / total


def main() -> int:
    import torchvision
    from torchvision import transforms
    ds = torchvision.datasets.FashionMNIST("../data", train=True, download=True,
                                           transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(ds, batch_size, shuffle=True)
    for epoch in range(3):
        train_loss, train_acc = train_epoch(net, loader, cross_entropy, updater)
        print("epoch %d: loss %.4f acc %.4f" % (epoch, train_loss, train_acc))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
