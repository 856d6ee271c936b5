"""Softmax regression from the built-in pieces of torch.nn and torch.optim: the same algorithm as scratch.py.

logits   nn.Linear on flattened images
softmax  within the loss
loss     nn.CrossEntropyLoss, one per sample
update   torch.optim.SGD
"""

import torch
from torch import nn

from d2l_softmax.device import try_gpu
from d2l_softmax.initialisers import normal
from d2l_softmax.training import Learner


def make_net(num_inputs, num_outputs, initialiser=normal, *, generator=None, device=None, dtype=torch.float32):
    """X (batch, …) ↦ logits (batch, num_outputs); drawn on the CPU, then moved to `device` (default: `try_gpu()`)."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(num_inputs, num_outputs, dtype=dtype))
    initialiser(net[1].weight, net[1].bias, generator)
    return net.to(try_gpu() if device is None else device)


def build(num_inputs, num_outputs, *, lr, momentum=0.0, weight_decay=0.0, **start) -> Learner:
    """Assemble the learner; `start` is passed to `make_net`."""
    net = make_net(num_inputs, num_outputs, **start)
    loss = nn.CrossEntropyLoss(reduction="none")
    updater = torch.optim.SGD(net.parameters(), lr, momentum=momentum, weight_decay=weight_decay)
    return Learner(net, loss, updater, net[1].weight.detach().T, net[1].bias.detach())
