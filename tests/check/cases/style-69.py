"""Everything is picked by name from registries, so that a config (json) describes the run."""
import torch
from torch import nn

LOSSES, OPTIMIZERS, MODELS = {}, {}, {}


def register(table, name=None):
    def deco(obj):
        table[name or obj.__name__] = obj
        return obj
    return deco


DEFAULT = {
    "model": {"name": "softmax_regression", "in_features": 784, "num_classes": 10},
    "loss": {"name": "cross_entropy"},
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.0},
    "epochs": 10,
    "clip_norm": None,
}


@register(MODELS, "softmax_regression")
class SoftmaxRegression(nn.Module):
    def __init__(self, in_features=784, num_classes=10):
        super().__init__()
        self.layer = nn.Linear(in_features, num_classes, bias=True)

    def forward(self, x):
        return self.layer(x.flatten(start_dim=1))


@register(LOSSES)
def cross_entropy(logits, y):
    return nn.functional.cross_entropy(logits, y)


@register(LOSSES)
def one_hot_cross_entropy(logits, y):
    t = nn.functional.one_hot(y, logits.size(1)).to(logits.dtype)
    return -(t * logits.log_softmax(1)).sum() / len(y)


@register(LOSSES)
def prob_cross_entropy(logits, y):
    """through the probabilities; only for looking at the difference"""
    p = logits.softmax(1)[torch.arange(len(y)), y]
    return -(p + 1e-30).log().mean()


@register(OPTIMIZERS)
def sgd(params, lr=0.1, momentum=0.0):
    return torch.optim.SGD(params, lr=lr, momentum=momentum)


@register(OPTIMIZERS)
def adam(params, lr=1e-3, **_):
    return torch.optim.Adam(params, lr=lr)


def build(table, spec, *args):
    spec = dict(spec)
    return table[spec.pop("name")](*args, **spec)


def get_loss(cfg):
    return LOSSES[cfg["loss"]["name"]]


class Runner:
    def __init__(self, cfg=None):
        self.cfg = {**DEFAULT, **(cfg or {})}
        self.net = build(MODELS, self.cfg["model"])
        self.loss = get_loss(self.cfg)
        self.optimizer = build(OPTIMIZERS, self.cfg["optimizer"], self.net.parameters())
        self.history = []

    def train_step(self, X, y):
        self.net.train()
        self.optimizer.zero_grad()
        l = self.loss(self.net(X), y)
        l.backward()
        if self.cfg["clip_norm"]:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.cfg["clip_norm"])
        self.optimizer.step()
        return l.item()

    def train_epoch(self, data):
        s = [(self.train_step(X, y), len(y)) for X, y in data]
        n = sum(k for _, k in s)
        return sum(l * k for l, k in s) / n

    @torch.no_grad()
    def predict(self, X):
        self.net.eval()
        return self.net(X).argmax(1)

    def evaluate_accuracy(self, data):
        right = n = 0
        for X, y in data:
            right += int((self.predict(X) == y).sum())
            n += len(y)
        return right / n

    def run(self, train_data, test_data):
        for e in range(self.cfg["epochs"]):
            row = {"epoch": e, "loss": self.train_epoch(train_data), "acc": self.evaluate_accuracy(test_data)}
            self.history.append(row)
        return self.history
