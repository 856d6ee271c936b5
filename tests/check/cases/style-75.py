import logging
from dataclasses import dataclass
from typing import List

import torch
from torch import nn
import torch.nn.functional as F

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Config:
    lr: float = 0.1
    epochs: int = 10
    batch_size: int = 128
    in_dim: int = 784
    classes: int = 10
    device: str = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class EpochLog:
    epoch: int
    train_loss: float
    train_acc: float
    val_acc: float = float("nan")


class LinearClassifier(nn.Module):
    def __init__(self, cfg: Config = Config()):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(cfg.classes, cfg.in_dim))
        self.bias = nn.Parameter(torch.empty(cfg.classes))
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        return F.linear(torch.flatten(x, start_dim=1), self.weight, self.bias)


def accuracy(logits, y):
    """how many are right"""
    return int(logits.argmax(dim=1).eq(y).sum())


def train_epoch(model, loader, optimizer, device="cpu"):
    model.train()
    total_loss, total_correct, total = 0.0, 0, 0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * y.size(0)
        total_correct += accuracy(logits, y)
        total += y.size(0)
    return total_loss / total, total_correct / total


@torch.no_grad()
def evaluate_accuracy(model, loader, device="cpu"):
    model.eval()
    hits, total = 0, 0
    for x, y in loader:
        hits += accuracy(model(x.to(device)), y.to(device))
        total += y.size(0)
    return hits / total


def fit(model, train_loader, val_loader, cfg: Config = Config()) -> List[EpochLog]:
    model.to(cfg.device)
    opt = torch.optim.SGD(model.parameters(), lr=cfg.lr)
    out: List[EpochLog] = []
    for ep in range(cfg.epochs):
        rec = EpochLog(ep, *train_epoch(model, train_loader, opt, cfg.device))
        rec.val_acc = evaluate_accuracy(model, val_loader, cfg.device)
        log.info("%s", rec)
        out.append(rec)
    return out
