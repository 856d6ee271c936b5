"""The one training loop. It works with anything that follows the protocol of `Learner`."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from d2l_softmax.metrics import EpochResult

Batches = Iterable[tuple[Tensor, Tensor]]
Net = Callable[[Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def autograd_backward(net: Any, loss: Any, losses: Tensor) -> None:
    """Leave the gradient of the mean of `losses` (batch,) in every parameter's `.grad`, by autograd."""
    losses.mean().backward()


class Learner(NamedTuple):
    """One mode of softmax regression, ready to train: a network with its loss and its updater.

    net: maps images (batch, 1, height, width) or (batch, features) to logits (batch, classes).
    loss: maps (logits, y) to one loss per sample, (batch,).
    updater: `zero_grad()`, `step()`, `param_groups`, `state_dict()` and `load_state_dict()`, as
        `torch.optim.Optimizer` has them. It reads the gradient of each parameter p from `p.grad`.
    W, b: the weights (features, classes) and bias (classes,), sharing memory with what the net computes with, so
        that copying into them sets the network.
    backward: `backward(net, loss, losses)` leaves the gradient of the batch's mean loss in `p.grad`. A mode without
        autograd has one of its own.
    probabilities: maps what the net returns to the probabilities of the classes, (batch, classes).
    """

    net: Net
    loss: Loss
    updater: Any
    W: Tensor
    b: Tensor
    backward: Callable[[Any, Any, Tensor], None] = autograd_backward
    probabilities: Callable[[Tensor], Tensor] = partial(torch.softmax, dim=-1)

    def parameters(self) -> list[Tensor]:
        """Return the tensors that the updater changes."""
        return [p for group in self.updater.param_groups for p in group["params"]]


class Accumulator:
    """Running sums over `n` quantities. Tensors stay on their device; reading one, `accumulator[i]`, waits for it."""

    def __init__(self, n: int):
        self.data: list[float | Tensor] = [0] * n

    def add(self, *args: float | Tensor) -> None:
        """Add one number or 0-dimensional tensor to each sum.

        Raises:
            ValueError: there are more or fewer arguments than sums.
        """
        self.data = [
            total + (value.detach() if isinstance(value, Tensor) else value)
            for total, value in zip(self.data, args, strict=True)
        ]

    def reset(self) -> None:
        """Set every sum to zero."""
        self.data = [0] * len(self.data)

    def __getitem__(self, i: int) -> float:
        return float(self.data[i])


def accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """Count the correct predictions: a 0-dimensional int64 tensor on the device of `y`.

    Args:
        y_hat: scores or probabilities (batch, classes), or predicted class indices (batch,).
        y: true class indices (batch,).

    With one more dimension after the batch, in both, it counts for each index of that dimension.

    Raises:
        ValueError: the shapes are others.
    """
    y_hat = y_hat.detach()
    predicted = y_hat.argmax(dim=-1) if y_hat.ndim > y.ndim else y_hat
    if predicted.shape != y.shape or (y.ndim > 1 and predicted is y_hat):
        raise ValueError(
            f"y must hold one class index for each prediction, got y_hat {tuple(y_hat.shape)} and y {tuple(y.shape)}"
        )
    return (predicted == y).sum(dim=0)


@contextmanager
def train_mode(net: Any, training: bool) -> Iterator[None]:
    """Put an `nn.Module` into train or eval mode for the block; other networks have no modes."""
    before = getattr(net, "training", None)
    if before is None:
        yield
        return
    net.train(training)
    try:
        yield
    finally:
        net.train(before)


def _per_sample(losses: Tensor, y: Tensor) -> Tensor:
    """One loss per sample, shaped as `y`; a scalar is taken for the mean of the batch."""
    if losses.ndim == 0:
        return losses.expand(y.shape)
    if losses.shape != y.shape:
        raise ValueError(
            f"the loss must return one value per sample, {tuple(y.shape)}, or their mean, got {tuple(losses.shape)}"
        )
    return losses


def _means(batches: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Any, Any]:
    """Return (mean loss, accuracy) over the samples of batches (losses, logits, y), read from the device once.

    The losses are added up in float64, whatever their type.
    """
    if not sum(len(y) for _, _, y in batches):
        raise ValueError("there are no samples to average over")
    losses, logits, y = map(torch.cat, zip(*batches, strict=True))
    correct = accuracy(logits, y).cpu().double() / len(y)
    return losses.cpu().double().mean(dim=0).tolist(), correct.tolist()


class FunctionUpdater:
    """The book's updater, a function, as an object: it is called after the gradient of the sum of the losses."""

    def __init__(self, function: Callable[[int], Any]):
        self.function = function

    def zero_grad(self) -> None:
        """The book's updater sets the gradients to zero after its step."""

    def backward(self, net: Any, loss: Any, losses: Tensor) -> None:
        """Add the gradient of the sum of `losses` (batch,) to every parameter's `.grad`."""
        self.batch_size = len(losses)
        losses.sum().backward()

    def step(self) -> None:
        """Call the function with the size of this batch."""
        self.function(self.batch_size)


def _warn_of_probabilities(losses: Tensor, logits: Tensor, y: Tensor) -> None:
    """Warn where a cross-entropy that takes logits is given probabilities: it trains on, but to a worse result."""
    if logits.ndim == 2 and len(y) and logits.amin() >= 0 and (logits.sum(dim=1) - 1).abs().amax() < 1e-4:
        of_logits = torch.nn.functional.cross_entropy(logits, y.long())
        of_probabilities = torch.nn.functional.nll_loss(logits.log(), y.long())
        if (of_logits - losses.mean()).abs() < 1e-4 < (of_probabilities - losses.mean()).abs():
            warnings.warn(
                "the network returns probabilities, but this loss takes logits: leave out the network's softmax, or "
                "use cross_entropy_of_probabilities",
                stacklevel=3,
            )


def train_epoch(
    net: Net, train_iter: Batches, loss: Loss, updater: Any, backward: Callable = autograd_backward
) -> tuple[float, float]:
    """Make one pass over the training data and return (mean train loss, train accuracy).

    Both are means over samples, each taken when its batch was used. Nothing is read from the device until the end.
    The arguments are those of `Learner`. `loss` may also return the mean of the batch, as `nn.CrossEntropyLoss()`,
    and `updater` may be the book's, a function, which is called as `updater(len(y))` after the gradient of the sum.
    It warns where a loss that takes logits is given probabilities.

    Raises:
        TypeError: `updater` is neither.
        ValueError: `train_iter` is empty, or `loss` returns values of another shape.
    """
    if not (hasattr(updater, "zero_grad") and hasattr(updater, "step")):
        if not callable(updater):
            raise TypeError(
                f"updater must have zero_grad() and step(), or be a function of batch_size, got {updater!r}"
            )
        updater = FunctionUpdater(updater)
        backward = updater.backward
    batches = []
    with train_mode(net, training=True):
        for X, y in train_iter:
            logits = net(X)
            losses = _per_sample(loss(logits, y), y)
            updater.zero_grad()
            backward(net, loss, losses)
            updater.step()
            batches.append((losses.detach(), logits.detach(), y))
    means = _means(batches)
    _warn_of_probabilities(*batches[0])
    return means


@torch.no_grad()
def evaluate(net: Net, data_iter: Batches, loss: Loss) -> tuple[float, float]:
    """Return (mean loss, accuracy) of a network on a data set, changing neither.

    `loss` is that of `Learner`, or returns the mean of the batch.

    Raises:
        ValueError: `data_iter` is empty, or `loss` returns values of another shape.
    """
    batches = []
    with train_mode(net, training=False):
        for X, y in data_iter:
            logits = net(X)
            batches.append((_per_sample(loss(logits, y), y), logits, y))
    return _means(batches)


@torch.no_grad()
def evaluate_accuracy(net: Net, data_iter: Batches) -> float:
    """Return the fraction of samples that a network classifies correctly.

    Raises:
        ValueError: `data_iter` is empty.
    """
    sums = Accumulator(2)
    with train_mode(net, training=False):
        for X, y in data_iter:
            sums.add(accuracy(net(X), y), len(y))
    if not sums[1]:
        raise ValueError("there are no samples to average over")
    return sums[0] / sums[1]


class DivergedError(ArithmeticError):
    """The loss is no longer finite."""


def run_epoch(
    learner: Learner, epoch: int, train_iter: Batches, test_iter: Batches, validation_iter: Batches | None = None
) -> EpochResult:
    """Train one epoch and evaluate after it."""
    start = time.perf_counter()
    net, loss = learner.net, learner.loss
    figures = (
        *train_epoch(net, train_iter, loss, learner.updater, learner.backward),
        *evaluate(net, test_iter, loss),
    )
    validation = () if validation_iter is None else evaluate(net, validation_iter, loss)
    return EpochResult(epoch, *figures, time.perf_counter() - start, *validation)


def train(
    net: Net,
    train_iter: Batches,
    test_iter: Batches,
    loss: Loss,
    num_epochs: int,
    updater: Any,
    *,
    backward: Callable = autograd_backward,
    validation_iter: Batches | None = None,
    listeners: Iterable[Callable[[EpochResult], None]] = (),
) -> list[EpochResult]:
    """Train for `num_epochs` epochs, evaluate after each, and call every listener with its `EpochResult`.

    Returns:
        One `EpochResult` for each epoch, first to last: not the figures of the last epoch alone.

    Raises:
        DivergedError: the train or test loss is not finite; the listeners have received the epochs before.
        TypeError, ValueError: as `train_epoch`.
    """
    learner = Learner(net, loss, updater, W=None, b=None, backward=backward)
    results = []
    for epoch in range(1, num_epochs + 1):
        results.append(run_epoch(learner, epoch, train_iter, test_iter, validation_iter))
        if not results[-1].is_finite:
            raise DivergedError(f"the loss is no longer finite in epoch {epoch}")
        for listener in listeners:
            listener(results[-1])
    return results
