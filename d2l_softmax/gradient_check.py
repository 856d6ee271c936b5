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


def gradient_check(
    model: Model,
    criterion: Criterion | None,
    input: Tensor,
    target: Tensor | None = None,
    *,
    sample: int = 50,
    h: float = 1e-5,
    seed: int = 0,
) -> GradientCheckResult:
    """Compare hand-derived gradients with central differences, (L(x + h) − L(x − h)) / 2h, in float64.

    Without a criterion, L is the model's output weighted by fixed random numbers, so that no entry of the gradient
    cancels. The error is |derived − measured| / max(1, |derived|, |measured|); the difference quotient itself is
    off by about h² and by 1e-16 / h from rounding, so h = 1e-5 leaves some 1e-10.

    Args:
        model: any model; a copy in float64 is checked.
        criterion: what L is made of; None as above.
        input: where to check, (batch, …).
        target: the criterion's, where there is a criterion.
        sample: entries taken at random from the input and from each parameter; all, where there are fewer.
        h: step of the differences.
        seed: of the sampled entries and of the weights.
    """
    model, input = copy.deepcopy(model), input.double().clone()
    for p in model.parameters():
        p.data, p.grad = p.data.double(), None
    generator = torch.Generator().manual_seed(seed)
    output = model(input)
    weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.device)

    def value() -> float:
        output = model(input)
        return float((output * weights).sum() if criterion is None else criterion(output, target).mean())

    value()
    grad_input = model.backward(weights if criterion is None else criterion.backward())
    gradients = [grad_input, *(p.grad for p in model.parameters())]
    entries = []
    for i, (tensor, gradient) in enumerate(zip([input, *model.parameters()], gradients, strict=True)):
        for flat in torch.randperm(tensor.numel(), generator=generator)[:sample].tolist():
            index = tuple(int(j) for j in torch.unravel_index(torch.tensor(flat), tensor.shape))
            at = tensor[index].clone()
            tensor[index] = at + h
            above = value()
            tensor[index] = at - h
            below = value()
            tensor[index] = at
            derived, measured = float(gradient[index]), (above - below) / (2 * h)
            error = abs(derived - measured) / max(1.0, abs(derived), abs(measured))
            entries.append(("input" if i == 0 else f"parameter {i - 1}", index, derived, measured, error))
    # A derivative that is not a number is worse than any that is.
    worst = max(entries, key=lambda entry: float("inf") if entry[-1] != entry[-1] else entry[-1])
    return GradientCheckResult(*worst, len(entries))
