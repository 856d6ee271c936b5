"""How the weights are drawn before training, the same in every mode.

Each initialiser fills, in place, a weight matrix of shape (num_outputs, num_inputs), which is how `nn.Linear` stores
it, and a bias of shape (num_outputs,).
"""

import math


def normal(weight, bias, generator=None) -> None:
    """W ~ N(0, 0.01²), b = 0: the book's choice."""
    weight.detach().normal_(0, 0.01, generator=generator)
    bias.detach().zero_()


def xavier(weight, bias, generator=None) -> None:
    """W ~ N(0, 2 / (num_inputs + num_outputs)), b = 0 (Glorot and Bengio, 2010, equation 12, as a normal)."""
    weight.detach().normal_(0, math.sqrt(2 / sum(weight.shape)), generator=generator)
    bias.detach().zero_()


def uniform(weight, bias, generator=None) -> None:
    """W ~ U(−1, 1), b ~ U(−1, 1), drawn in that order."""
    weight.detach().uniform_(-1, 1, generator=generator)
    bias.detach().uniform_(-1, 1, generator=generator)


def zeros(weight, bias, generator=None) -> None:
    """W = 0, b = 0: the problem is convex, so even this start reaches the optimum. `generator` is not used."""
    weight.detach().zero_()
    bias.detach().zero_()


INITIALISERS = {"normal": normal, "xavier": xavier, "uniform": uniform, "zeros": zeros}
