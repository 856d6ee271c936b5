"""Softmax regression from the built-in pieces of torch.nn and torch.optim: the same algorithm as scratch.py."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from d2l_softmax import init
from d2l_softmax.device import try_gpu
from d2l_softmax.learner import Learner


def init_weights(
    module: nn.Module, initialiser: Callable = init.normal, generator: torch.Generator | None = None
) -> None:
    """Draw the weights of a linear layer and leave every other module alone: for `net.apply(init_weights)`."""
    if isinstance(module, nn.Linear):
        initialiser(module.weight, module.bias, generator)


def make_net(num_inputs: int, num_outputs: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """X (batch, …) ↦ logits (batch, num_outputs), on the CPU."""
    return nn.Sequential(nn.Flatten(), nn.Linear(num_inputs, num_outputs, dtype=dtype))


def build(
    num_inputs: int,
    num_outputs: int,
    *,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    initialiser: Callable = init.normal,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Learner:
    """Put the pieces together for the training loop."""
    net = make_net(num_inputs, num_outputs, dtype)
    net.apply(partial(init_weights, initialiser=initialiser, generator=generator))
    net.to(try_gpu() if device is None else device)
    loss = nn.CrossEntropyLoss(reduction="none")
    updater = torch.optim.SGD(net.parameters(), lr, momentum=momentum, weight_decay=weight_decay)
    linear = net[1]
    W, b = linear.weight.detach().T, linear.bias.detach()
    return Learner(net, loss, updater, W, b, lambda: [p.grad for p in net.parameters()])
