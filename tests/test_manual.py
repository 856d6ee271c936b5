import ast
import inspect
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from d2l_softmax import BatchIterator, evaluate, manual, train_epoch
from d2l_softmax.manual import CrossEntropy, Flatten, GradientCheck, Linear, MSELoss, Sequential, Softmax

CPU = torch.device("cpu")


def linear(num_inputs=6, num_outputs=4, **options):
    generator = torch.Generator().manual_seed(2)
    return Linear(num_inputs, num_outputs, generator=generator, device=CPU, dtype=torch.float64, **options)


def inputs(*shape, seed=3):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 3, 1])
MODELS = {
    "Linear": (linear, (3, 6)),
    "Flatten": (Flatten, (3, 2, 3)),
    "Softmax": (Softmax, (3, 4)),
    "Sequential": (lambda: Sequential(Flatten(), linear(), Softmax(), linear(4, 2)), (3, 1, 2, 3)),
}
CRITERIA = {
    "CrossEntropy": (CrossEntropy, LABELS),
    "MSELoss": (MSELoss, inputs(3, 4, seed=9)),
    "MSELoss on classes": (MSELoss, LABELS),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_models_gradients_are_right(name):
    make, shape = MODELS[name]
    result = GradientCheck(make())(inputs(*shape))
    assert result.passed, result


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterions_gradient_is_right(name):
    make, target = CRITERIA[name]
    model = Sequential(linear(), Softmax()) if "MSE" in name else linear()
    result = GradientCheck(model, make())(inputs(3, 6), target)
    assert result.passed, result


def spoil(cls):
    """A subclass whose backward pass is off by 0.1 % in one entry of what it returns."""

    class Spoiled(cls):
        def backward(self, *args):
            gradient = super().backward(*args).clone()
            gradient.view(-1)[0] *= 1.001
            return gradient

    return Spoiled


@pytest.mark.parametrize("cls", [Flatten, Softmax])
def test_the_check_catches_a_wrong_derivative_in_a_layer(cls):
    _, shape = MODELS[cls.__name__]
    result = GradientCheck(spoil(cls)())(inputs(*shape))
    assert not result.passed
    assert result.worst.tensor == "input"
    assert result.worst.index == (0,) * len(shape)


@pytest.mark.parametrize(("which", "tensor"), [("dW", "parameter 0"), ("db", "parameter 1"), ("input", "input")])
def test_the_check_catches_a_wrong_derivative_in_the_linear_layer(which, tensor):
    class Wrong(Linear):
        def backward(self, grad):
            dx = super().backward(grad)
            if which == "input":
                return dx * 1.001
            getattr(self, which).mul_(1.001)
            return dx

    wrong = Wrong(6, 4, generator=torch.Generator().manual_seed(2), device=CPU, dtype=torch.float64)
    result = GradientCheck(wrong)(inputs(3, 6))
    assert not result.passed
    assert result.worst.tensor == tensor


@pytest.mark.parametrize("cls", [CrossEntropy, MSELoss])
def test_the_check_catches_a_wrong_derivative_in_a_criterion(cls):
    result = GradientCheck(linear(), spoil(cls)())(inputs(3, 6), LABELS)
    assert not result.passed


def test_the_check_catches_a_derivative_that_is_not_a_number():
    class Broken(Flatten):
        def backward(self, grad):
            return super().backward(grad) * float("nan")

    assert not GradientCheck(Broken())(inputs(3, 2)).passed


def test_the_check_uses_its_settings_and_leaves_the_model_alone():
    layer = Linear(6, 4, device=CPU)
    before = layer.W.clone()
    result = GradientCheck(layer, sample=5, h=1e-4, tolerance=1e-30)(inputs(3, 6))
    # Five of the input, five of W and all four of b.
    assert (result.checked, result.sample, result.h, result.tolerance) == (14, 5, 1e-4, 1e-30)
    assert not result.passed
    assert torch.equal(layer.W, before)
    assert layer.W.dtype == torch.float32
    assert torch.equal(layer.dW, torch.zeros_like(layer.dW))
    coarse = GradientCheck(Softmax(), h=1e-2)(inputs(3, 4))
    fine = GradientCheck(Softmax(), h=1e-5)(inputs(3, 4))
    # The error of a central difference is of order h².
    assert coarse.worst.error > 1e3 * fine.worst.error


def test_a_chain_agrees_with_autograd():
    model = Sequential(Flatten(), linear(), Softmax(), linear(4, 2))
    criterion = CrossEntropy()
    X, y = inputs(3, 1, 2, 3), torch.tensor([0, 1, 1])
    criterion(model(X), y)
    grad = model.backward(criterion.backward())
    tensors = [X, *model.parameters()]
    X2, W1, b1, W2, b2 = (t.clone().requires_grad_() for t in tensors)
    F.cross_entropy(F.softmax(X2.flatten(1) @ W1 + b1, dim=1) @ W2 + b2, y).backward()
    for ours, theirs in zip([grad, *model.gradients()], (X2, W1, b1, W2, b2), strict=True):
        assert_close(ours, theirs.grad)


def test_gradients_accumulate_until_zero_grad():
    model, criterion = linear(), CrossEntropy()
    optimizer = manual.SGD(model, lr=0.1)
    criterion(model(inputs(3, 6)), LABELS)
    model.backward(criterion.backward())
    once = [g.clone() for g in model.gradients()]
    model.backward(criterion.backward())
    for gradient, one in zip(model.gradients(), once, strict=True):
        assert_close(gradient, 2 * one)
    optimizer.zero_grad()
    assert all(not gradient.any() for gradient in model.gradients())


def test_an_unneeded_input_gradient_is_not_computed():
    model = Sequential(Flatten(), linear(input_gradient=False))
    model(inputs(3, 6))
    assert model.backward(inputs(3, 4)) is None
    assert model.models[1].dW.abs().sum() > 0


def test_mean_squared_error_is_half_of_pytorchs_sum():
    output, target = inputs(3, 4), inputs(3, 4, seed=8)
    expected = 0.5 * F.mse_loss(output, target, reduction="none").sum(dim=1)
    assert_close(MSELoss()(output, target), expected)
    one_hot = F.one_hot(LABELS, 4).double()
    assert_close(MSELoss()(output, LABELS), MSELoss()(output, one_hot))


def test_cross_entropy_learns_where_squared_error_on_probabilities_is_stuck():
    # Confidently wrong: the squared error's gradient has vanished, the cross-entropy's is near its largest.
    logits, y = torch.tensor([[20.0, -20.0]], dtype=torch.float64), torch.tensor([1])
    softmax, squared, cross = Softmax(), MSELoss(), CrossEntropy()
    squared(softmax(logits), y)
    cross(logits, y)
    assert softmax.backward(squared.backward()).abs().max() < 1e-16
    assert cross.backward().abs().max() > 0.999


def test_training_needs_no_autograd(blobs):
    with torch.inference_mode():
        learner = manual.build(20, 4, lr=0.1, momentum=0.9, weight_decay=0.01, device=CPU)
        train_iter = BatchIterator(*blobs, 64, seed=0, device=CPU)
        for _ in range(3):
            train_epoch(learner.net, train_iter, learner.loss, learner.updater, learner.backward)
        assert learner.W.is_inference()
        assert evaluate(learner.net, train_iter, learner.loss)[1] > 0.9
    attributes = {n.attr for n in ast.walk(ast.parse(inspect.getsource(manual))) if isinstance(n, ast.Attribute)}
    assert not attributes & {"autograd", "requires_grad", "requires_grad_", "grad", "enable_grad"}


def test_the_line_fit_is_the_closed_form_of_gradient_descent():
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent))
    from examples.line_fit import closed_form, fit, points

    x, y = points()
    a, b = fit(x, y, lr=0.1, steps=100)
    assert (a, b) == pytest.approx(closed_form(x, y, lr=0.1, steps=100), abs=1e-8)
    # The same in a loop of plain numbers, with the derivative of the mean of ½(ax + b − y)² written out.
    xs, ys, p, q = x.flatten().tolist(), y.flatten().tolist(), 0.0, 0.0
    for _ in range(100):
        errors = [p * xi + q - yi for xi, yi in zip(xs, ys, strict=True)]
        p, q = (
            p - 0.1 * sum(e * xi for e, xi in zip(errors, xs, strict=True)) / len(xs),
            q - 0.1 * sum(errors) / len(xs),
        )
    assert (a, b) == pytest.approx((p, q), abs=1e-8)
