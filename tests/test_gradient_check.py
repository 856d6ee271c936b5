"""The check passes for every hand-derived gradient and catches each that is wrong."""

import pytest
import torch

from d2l_softmax.gradient_check import GradientCheck
from d2l_softmax.manual import CrossEntropy, Flatten, Linear, MSELoss, Sequential, Softmax

CPU = torch.device("cpu")
LABELS = torch.tensor([0, 3, 1])
# What the differences themselves leave of an error is some 1e-10.
TOLERANCE = 1e-7


def linear(num_inputs=6, num_outputs=4, cls=Linear):
    generator = torch.Generator().manual_seed(2)
    return cls(num_inputs, num_outputs, generator=generator, device=CPU, dtype=torch.float64)


def inputs(*shape, seed=3):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (linear, (3, 6)),
        (Flatten, (3, 2, 3)),
        (Softmax, (3, 4)),
        (lambda: Sequential(Flatten(), linear(), Softmax(), linear(4, 2)), (3, 1, 2, 3)),
    ],
    ids=["Linear", "Flatten", "Softmax", "Sequential"],
)
def test_every_models_gradients_are_right(make, shape):
    result = GradientCheck(make())(inputs(*shape))
    assert result.error < TOLERANCE, result


@pytest.mark.parametrize(
    ("make", "models", "target"),
    [
        (CrossEntropy, [], LABELS),
        (MSELoss, [Softmax()], inputs(3, 4, seed=9)),
        (MSELoss, [Softmax()], LABELS),
    ],
    ids=["CrossEntropy", "MSELoss", "MSELoss on classes"],
)
def test_every_criterions_gradient_is_right(make, models, target):
    result = GradientCheck(Sequential(linear(), *models), make())(inputs(3, 6), target)
    assert result.error < TOLERANCE, result


def spoil(cls, factor=1.001):
    """A subclass whose backward pass is off by 0.1 % in one entry of what it returns."""

    class Spoiled(cls):
        def backward(self, *args):
            gradient = super().backward(*args).clone()
            gradient[(0,) * gradient.ndim] *= factor
            return gradient

    return Spoiled


@pytest.mark.parametrize(("cls", "shape"), [(Flatten, (3, 2, 3)), (Softmax, (3, 4))])
def test_a_wrong_derivative_in_a_layer_is_caught(cls, shape):
    result = GradientCheck(spoil(cls)())(inputs(*shape))
    assert result.error > TOLERANCE
    assert (result.tensor, result.index) == ("input", (0,) * len(shape))


@pytest.mark.parametrize(("which", "tensor"), [("W", "parameter 0"), ("b", "parameter 1"), ("input", "input")])
def test_a_wrong_derivative_in_the_linear_layer_is_caught(which, tensor):
    class Wrong(Linear):
        def backward(self, grad):
            dx = super().backward(grad)
            (dx if which == "input" else getattr(self, which).grad).mul_(1.001)
            return dx

    result = GradientCheck(linear(cls=Wrong))(inputs(3, 6))
    assert result.error > TOLERANCE
    assert result.tensor == tensor


@pytest.mark.parametrize("cls", [CrossEntropy, MSELoss])
def test_a_wrong_derivative_in_a_criterion_is_caught(cls):
    assert GradientCheck(linear(), spoil(cls)())(inputs(3, 6), LABELS).error > TOLERANCE


def test_a_derivative_that_is_not_a_number_is_the_worst():
    # Whatever its place among the entries, whose order depends on the seed.
    for seed in range(5):
        assert not GradientCheck(spoil(Flatten, float("nan"))(), seed=seed)(inputs(3, 2)).error < TOLERANCE


def test_the_check_uses_its_settings_and_leaves_the_model_alone():
    layer = Linear(6, 4, device=CPU)
    before = layer.W.clone()
    # Five of the input, five of W and all four of b.
    assert GradientCheck(layer, sample=5)(inputs(3, 6)).checked == 14
    assert torch.equal(layer.W, before)
    assert layer.W.dtype == torch.float32
    assert layer.W.grad is None
    coarse, fine = (GradientCheck(Softmax(), h=h)(inputs(3, 4)) for h in (1e-2, 1e-5))
    # The error of a central difference is of order h².
    assert coarse.error > 1e3 * fine.error
