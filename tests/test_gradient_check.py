"""The check catches wrong derivatives; that ours pass it is in test_examples.py, and its sample in test_traps.py."""

import pytest
import torch

from d2l_softmax.gradient_check import gradient_check
from d2l_softmax.manual import CrossEntropy, Flatten, Linear

LABELS = torch.tensor([0, 3, 1])
# What the differences themselves leave of an error is some 1e-10.
TOLERANCE = 1e-7


def linear(cls=Linear):
    return cls(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2), device=torch.device("cpu"))


def inputs(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def spoil(cls, which="input", factor=1.001):
    """A subclass whose backward pass is off by 0.1 % in one entry of a gradient."""

    class Spoiled(cls):
        def backward(self, *args):
            dx = super().backward(*args).clone()
            gradient = dx if which == "input" else getattr(self, which).grad
            gradient[(0,) * gradient.ndim] *= factor
            return dx

    return Spoiled


@pytest.mark.parametrize(
    ("model", "criterion", "shape", "tensor"),
    [
        (linear(spoil(Linear)), None, (3, 6), "input"),
        (linear(spoil(Linear, "W")), None, (3, 6), "parameter 0"),
        (linear(spoil(Linear, "b")), None, (3, 6), "parameter 1"),
        (linear(), spoil(CrossEntropy)(), (3, 6), None),
    ],
)
def test_a_wrong_derivative_is_caught(model, criterion, shape, tensor):
    result = gradient_check(model, criterion, inputs(*shape), LABELS)
    assert result.error > TOLERANCE
    if tensor:
        assert (result.tensor, set(result.index)) == (tensor, {0})


def test_a_derivative_that_is_not_a_number_is_the_worst():
    # Whatever its place among the entries, whose order depends on the seed.
    for seed in range(5):
        result = gradient_check(spoil(Flatten, factor=float("nan"))(), None, inputs(3, 2), seed=seed)
        assert not result.error < TOLERANCE


def test_the_check_uses_its_step_and_leaves_the_model_alone():
    layer = Linear(6, 4, device=torch.device("cpu"))
    before = layer.W.clone()
    # The error of a central difference is of order h².
    coarse, fine = (gradient_check(layer, CrossEntropy(), inputs(3, 6), LABELS, h=h) for h in (1e-2, 1e-5))
    assert coarse.error > 1e3 * fine.error
    assert torch.equal(layer.W, before)
    assert layer.W.dtype == torch.float32
    assert layer.W.grad is None
