"""Linear softmax classifier with micro-batching and early stopping.

The loader gives big batches; each is cut into micro-batches so that the step still
equals one step on the mean loss of the whole big batch.
"""
from __future__ import annotations

import copy
import time

import torch
import torch.nn.functional as F
from torch import nn, optim


def build_net(num_inputs: int = 784, num_outputs: int = 10) -> nn.Module:
    head = nn.Linear(num_inputs, num_outputs)
    nn.init.normal_(head.weight, mean=0.0, std=0.01)
    nn.init.zeros_(head.bias)
    return nn.Sequential(nn.Flatten(), head)


class AverageMeter:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def update(self, value: float, n: int = 1) -> None:
        """`value` is the mean over `n` samples"""
        self.total += value * n
        self.count += n

    @property
    def avg(self) -> float:
        return self.total / max(self.count, 1)


class EarlyStopping:
    def __init__(self, patience: int = 3):
        self.patience, self.bad, self.best, self.state = patience, 0, float("inf"), None

    def __call__(self, value: float, model: nn.Module) -> bool:
        if value < self.best:
            self.best, self.bad = value, 0
            self.state = copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


def train_step(net, X, y, optimizer, micro: int) -> float:
    optimizer.zero_grad()
    total = 0.0
    for xm, ym in zip(X.split(micro), y.split(micro)):
        loss = F.cross_entropy(net(xm), ym, reduction="sum") / len(y)
        loss.backward()          # accumulates on purpose
        total += loss.item()
    optimizer.step()
    return total


def train_epoch(net, loader, optimizer, micro: int = 64) -> float:
    net.train()
    meter = AverageMeter()
    for X, y in loader:
        meter.update(train_step(net, X, y, optimizer, micro), len(y))
    return meter.avg


@torch.no_grad()
def evaluate(net, loader) -> tuple[float, float]:
    net.eval()
    loss, acc = AverageMeter(), AverageMeter()
    for X, y in loader:
        out = net(X)
        loss.update(F.cross_entropy(out, y).item(), len(y))
        acc.update((out.argmax(1) == y).to(out.dtype).mean().item(), len(y))
    return loss.avg, acc.avg


def fit(net, train_loader, val_loader, lr=0.1, max_epochs=50, patience=3):
    optimizer = optim.SGD(net.parameters(), lr=lr)
    stopper = EarlyStopping(patience)
    for epoch in range(max_epochs):
        t0 = time.perf_counter()
        tr = train_epoch(net, train_loader, optimizer)
        va, acc = evaluate(net, val_loader)
        print(f"{epoch:3d} train {tr:.4f} val {va:.4f} acc {acc:.4f} ({time.perf_counter() - t0:.1f}s)")
        if stopper(va, net):
            break
    if stopper.state is not None:
        net.load_state_dict(stopper.state)
    return net


if __name__ == "__main__":
    from torchvision import datasets, transforms
    full = datasets.FashionMNIST("data", train=True, download=True, transform=transforms.ToTensor())
    tr, va = torch.utils.data.random_split(full, [55000, 5000])
    DL = torch.utils.data.DataLoader
    fit(build_net(), DL(tr, batch_size=512, shuffle=True), DL(va, batch_size=1000))
