#!/usr/bin/env python3
# Softmax regression, PyTorch. Hydra-less config: just a dict.
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

CONFIG = {
    "batch_size": 256,
    "lr": 0.1,
    "epochs": 10,
    "weight_decay": 0.0,
    "shuffle": True,
}


def make_loaders(train_xy, test_xy, cfg=CONFIG):
    train_ds, test_ds = TensorDataset(*train_xy), TensorDataset(*test_xy)
    return (DataLoader(train_ds, batch_size=cfg["batch_size"], shuffle=cfg["shuffle"]),
            DataLoader(test_ds, batch_size=cfg["batch_size"]))


def make_net():
    return nn.Sequential(
        nn.Flatten(),
        nn.LazyLinear(10),
    )


def init_net(net, sample):
    with torch.no_grad():
        net(sample)                       # materialise the lazy layer
        for m in net:
            if isinstance(m, nn.Linear):
                m.weight.normal_(0, 0.01)
                m.bias.zero_()
    return net


def accuracy(logits, y):
    return (logits.argmax(dim=1) == y).to(torch.get_default_dtype()).mean()


def train_epoch(net, loader, loss_fn, opt):
    net.train()
    loss_sum, seen = 0.0, 0
    for X, y in loader:
        loss = loss_fn(net(X), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        loss_sum += loss.item() * X.shape[0]
        seen += X.shape[0]
    return loss_sum / seen


def evaluate_accuracy(net, loader):
    net.eval()
    acc = 0.0
    with torch.no_grad():
        for X, y in loader:
            acc += accuracy(net(X), y).item() * len(y) / len(loader.dataset)
    return acc


def main(train_xy, test_xy, cfg=CONFIG):
    train_loader, test_loader = make_loaders(train_xy, test_xy, cfg)
    net = init_net(make_net(), train_xy[0][:2])
    loss_fn = nn.CrossEntropyLoss()
    opt = torch.optim.SGD(net.parameters(), lr=cfg["lr"], weight_decay=cfg["weight_decay"])
    rows = []
    for epoch in range(cfg["epochs"]):
        loss = train_epoch(net, train_loader, loss_fn, opt)
        rows.append({"epoch": epoch, "loss": loss, "test_acc": evaluate_accuracy(net, test_loader)})
        print(rows[-1])
    return net, rows


if __name__ == "__main__":
    from torchvision.datasets import FashionMNIST
    ds = [FashionMNIST("data", train=t, download=True) for t in (True, False)]
    main(*[(d.data.float() / 255, d.targets) for d in ds])
