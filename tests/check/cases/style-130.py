import torch
import torch.nn as nn


class Softy(nn.Module):
    """y = Wx + b with raw parameters, no nn.Linear"""

    def __init__(self, d=784, k=10):
        super().__init__()
        self.W = nn.Parameter(0.01 * torch.randn(d, k))
        self.b = nn.Parameter(torch.zeros(k))

    def forward(self, x):
        return x.flatten(1) @ self.W + self.b

    @torch.no_grad()
    def predict(self, x):
        return self(x).softmax(1).argmax(1)   # softmax keeps the order

    @torch.no_grad()
    def predict_proba(self, x):
        return self(x).softmax(1)


class PlainSGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"])
        return loss


sum_loss = nn.CrossEntropyLoss(reduction="sum")


def criterion(out, y):
    return sum_loss(out, y) / y.shape[0]


softy = Softy()
optimizer = PlainSGD(softy.parameters())


def train_one_epoch(m, loader, criterion, optimizer):
    m.train()
    tot, seen = 0.0, 0
    for x, y in loader:
        def closure():
            optimizer.zero_grad()
            loss = criterion(m(x), y)
            loss.backward()
            return loss
        tot += optimizer.step(closure).item() * len(y)
        seen += len(y)
    return tot / seen


def score(m, loader):
    m.eval()
    res = torch.cat([m.predict(x) == y for x, y in loader])
    return res.double().mean().item()
