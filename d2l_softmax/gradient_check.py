"""Hand-derived gradients compared with central differences."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from d2l_softmax.manual import Criterion, Model


class GradientCheckResult(NamedTuple):
    """The worst entry found: where, as derived and as measured, its relative error, and how many were checked."""

    tensor: str
    index: tuple[int, ...]
    derived: float
    measured: float
    error: float
    checked: int


class GradientCheck:
    """Compares hand-derived gradients with central differences, (L(x + h) − L(x − h)) / 2h, in float64.

    Without a criterion, L is the model's output weighted by fixed random numbers, so that no entry of the gradient
    cancels. The error is |derived − measured| / max(1, |derived|, |measured|); the difference quotient itself is
    off by about h² and by 1e-16 / h from rounding, so h = 1e-5 leaves some 1e-10.

    Args:
        model: any model; a copy in float64 is checked.
        criterion: what L is made of; None as above.
        sample: entries taken at random from the input and from each parameter; all, where there are fewer.
        h: step of the differences.
        seed: of the sampled entries and of the weights.
    """

    def __init__(self, model: Model, criterion: Criterion | None = None, *, sample=50, h=1e-5, seed=0):
        self.model, self.criterion = copy.deepcopy(model), criterion
        for p in self.model.parameters():
            p.data, p.grad = p.data.double(), None
        self.sample, self.h, self.seed = sample, h, seed

    def __call__(self, input: Tensor, target: Tensor | None = None) -> GradientCheckResult:
        """Check at an input (batch, …), with the criterion's target where there is a criterion."""
        generator = torch.Generator().manual_seed(self.seed)
        input = input.double().clone()
        output = self.model(input)
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device)

        def value() -> float:
            output = self.model(input)
            losses = output * weights if self.criterion is None else self.criterion(output, target)
            return float(losses.sum() if self.criterion is None else losses.mean())

        value()
        for p in self.model.parameters():
            p.grad = None
        grad_input = self.model.backward(weights if self.criterion is None else self.criterion.backward())
        derived = [grad_input, *(p.grad.clone() for p in self.model.parameters())]
        entries = []
        for i, (tensor, gradient) in enumerate(zip([input, *self.model.parameters()], derived, strict=True)):
            for flat in torch.randperm(tensor.numel(), generator=generator)[: self.sample].tolist():
                index = tuple(int(j) for j in torch.unravel_index(torch.tensor(flat), tensor.shape))
                at = tensor[index].clone()
                tensor[index] = at + self.h
                above = value()
                tensor[index] = at - self.h
                below = value()
                tensor[index] = at
                a, m = float(gradient[index]), (above - below) / (2 * self.h)
                error = abs(a - m) / max(1.0, abs(a), abs(m))
                entries.append(("input" if i == 0 else f"parameter {i - 1}", index, a, m, error))
        # A derivative that is not a number is worse than any that is.
        worst = max(entries, key=lambda entry: float("inf") if entry[-1] != entry[-1] else entry[-1])
        return GradientCheckResult(*worst, len(entries))
