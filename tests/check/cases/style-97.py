from dataclasses import dataclass, asdict
from typing import Dict

import torch
from torch import nn


@dataclass
class Config:
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    epochs: int = 12
    gamma: float = 0.7
    init_std: float = 0.01
    seed: int = 0


@dataclass
class Result:
    loss: float
    acc: float


def build_model(cfg: Config) -> nn.Sequential:
    torch.manual_seed(cfg.seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.init.normal_(model[1].weight, std=cfg.init_std)
    nn.init.zeros_(model[1].bias)
    return model


def build_optim(model, cfg: Config):
    """No weight decay on the bias."""
    groups = [
        {"params": [model[1].weight], "weight_decay": cfg.weight_decay},
        {"params": [model[1].bias], "weight_decay": 0.0},
    ]
    opt = torch.optim.SGD(groups, lr=cfg.lr, momentum=cfg.momentum)
    sched = torch.optim.lr_scheduler.StepLR(opt, step_size=1, gamma=cfg.gamma)
    return opt, sched


criterion = nn.CrossEntropyLoss(reduction="none")


def run_epoch(model, loader, opt=None) -> Result:
    """Trains if an optimizer is given, otherwise only evaluates."""
    training = opt is not None
    model.train(training)
    losses, hits = [], []
    with torch.set_grad_enabled(training):
        for x, y in loader:
            logits = model(x)
            per_sample = criterion(logits, y)
            if training:
                opt.zero_grad()
                per_sample.mean().backward()
                opt.step()
            losses.append(per_sample.detach())
            hits.append(logits.argmax(-1) == y)
    return Result(torch.cat(losses).mean().item(), torch.cat(hits).float().mean().item())


def fit(cfg: Config, train_loader, val_loader) -> Dict:
    model = build_model(cfg)
    opt, sched = build_optim(model, cfg)
    history = []
    for epoch in range(cfg.epochs):
        tr = run_epoch(model, train_loader, opt)
        va = run_epoch(model, val_loader)
        sched.step()
        history.append({"epoch": epoch, "train": asdict(tr), "val": asdict(va)})
    return {"model": model, "history": history, "config": asdict(cfg)}
