import logging

import torch
import torch.nn as nn
import torch.nn.functional as F

log = logging.getLogger(__name__)

CFG = {
    "lr": 0.1,
    "epochs": 15,
    "batch_size": 256,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "grad_clip": None,       # e.g. 1.0, off by default
    "label_smoothing": 0.0,
    "scheduler": None,       # never ended up needing it
}


class LogisticRegression(nn.Module):
    def __init__(self, n_pixels=784, n_classes=10):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_classes, n_pixels))
        self.bias = nn.Parameter(torch.zeros(n_classes))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x):
        # x: (n, 1, 28, 28)
        return F.linear(x.view(x.size(0), -1), self.weight, self.bias)

    def predict_proba(self, x):
        return F.softmax(self(x), dim=1)


def make_net(cfg=CFG):
    return LogisticRegression()


def make_optimizer(net, cfg=CFG):
    return torch.optim.SGD(net.parameters(), lr=cfg["lr"],
                           momentum=cfg["momentum"], weight_decay=cfg["weight_decay"])


def loss_fn(logits, y, cfg=CFG):
    return F.cross_entropy(logits, y, label_smoothing=cfg["label_smoothing"])


def accuracy(logits, y):
    """number of hits in the batch"""
    return (logits.argmax(1) == y).sum().item()


def evaluate_accuracy(net, data_iter):
    was_training = net.training
    net.eval()
    hits, n = 0, 0
    with torch.inference_mode():
        for X, y in data_iter:
            hits += accuracy(net(X), y)
            n += y.shape[0]
    net.train(was_training)
    return hits / n


def train_epoch(net, data_iter, optimizer, cfg=CFG):
    net.train()
    loss_sum, hits, n = 0.0, 0, 0
    for X, y in data_iter:
        logits = net(X)
        loss = loss_fn(logits, y, cfg)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if cfg["grad_clip"] is not None:
            nn.utils.clip_grad_norm_(net.parameters(), cfg["grad_clip"])
        optimizer.step()
        loss_sum += loss.detach().item() * y.shape[0]
        hits += accuracy(logits.detach(), y)
        n += y.shape[0]
    return loss_sum / n, hits / n


def run(train_iter, valid_iter, cfg=CFG):
    net = make_net(cfg)
    opt = make_optimizer(net, cfg)
    history = {"train_loss": [], "train_acc": [], "valid_acc": []}
    for epoch in range(cfg["epochs"]):
        tl, ta = train_epoch(net, train_iter, opt, cfg)
        va = evaluate_accuracy(net, valid_iter)
        for key, value in zip(history, (tl, ta, va)):
            history[key].append(value)
        log.info("epoch %02d  loss %.4f  acc %.3f  valid %.3f", epoch, tl, ta, va)
    return net, history
