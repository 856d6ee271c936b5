"""Softmax regression made of PyTorch's own pieces, which others are compared with."""

import torch
import torch.nn.functional as F
from torch import nn


def train(W, b, batches, epochs=1, loss=F.cross_entropy, **rates):
    """A linear layer trained by `torch.optim.SGD` from these weights, and mean loss and accuracy of each epoch."""
    linear, results = nn.Linear(*W.shape, dtype=W.dtype), []
    linear.weight.data.copy_(W.T)
    linear.bias.data.copy_(b)
    sgd = torch.optim.SGD(linear.parameters(), **rates)
    for _ in range(epochs):
        losses, right = [], []
        for X, y in batches:
            logits = linear(X.flatten(1))
            losses.append(loss(logits, y, reduction="none"))
            sgd.zero_grad()
            losses[-1].mean().backward()
            sgd.step()
            right.append(logits.argmax(dim=1) == y)
        results.append((torch.cat(losses).mean().item(), torch.cat(right).double().mean().item()))
    return linear, results


def evaluate(W, b, images, labels, divisor=255):
    """Mean loss and accuracy on these images, in float64."""
    logits = images.double().flatten(1) / divisor @ W.double() + b.double()
    return F.cross_entropy(logits, labels).item(), (logits.argmax(dim=1) == labels).double().mean().item()
