"""How the weights are drawn before training: the same draws in every mode.

Each initialiser fills, in place, a weight matrix of shape (num_outputs, num_inputs), which is how `nn.Linear` stores
it, and a bias of shape (num_outputs,).
"""

import math

import torch
from torch import Tensor


@torch.no_grad()
def normal(weight: Tensor, bias: Tensor, generator: torch.Generator | None = None) -> None:
    """W ~ N(0, 0.01²), b = 0: the book's choice."""
    weight.normal_(0, 0.01, generator=generator)
    bias.zero_()


@torch.no_grad()
def xavier(weight: Tensor, bias: Tensor, generator: torch.Generator | None = None) -> None:
    """W ~ N(0, 2 / (num_inputs + num_outputs)), b = 0 (Glorot and Bengio, 2010, equation 12, as a normal)."""
    weight.normal_(0, math.sqrt(2 / sum(weight.shape)), generator=generator)
    bias.zero_()


@torch.no_grad()
def uniform(weight: Tensor, bias: Tensor, generator: torch.Generator | None = None) -> None:
    """W ~ U(−1, 1), b ~ U(−1, 1), drawn in that order."""
    weight.uniform_(-1, 1, generator=generator)
    bias.uniform_(-1, 1, generator=generator)


@torch.no_grad()
def zeros(weight: Tensor, bias: Tensor, generator: torch.Generator | None = None) -> None:
    """W = 0, b = 0: the problem is convex, so even this start reaches the optimum. `generator` is not used."""
    weight.zero_()
    bias.zero_()


INITIALISERS = {"normal": normal, "xavier": xavier, "uniform": uniform, "zeros": zeros}
