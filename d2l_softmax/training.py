"""The one training loop. It works with anything that follows the protocol of `Learner`."""

import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

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
    """

    net: Net
    loss: Loss
    updater: Any
    W: Tensor
    b: Tensor
    backward: Callable[[Any, Any, Tensor], None] = autograd_backward

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
    """
    y_hat = y_hat.detach()
    predicted = y_hat.argmax(dim=-1) if y_hat.ndim > y.ndim else y_hat
    return (predicted == y).sum(dim=0)


@contextmanager
def in_mode(net: Any, training: bool) -> Iterator[None]:
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


class Tally:
    """The mean loss and the accuracy of many batches, computed for several at a time, which is cheaper."""

    BATCHES_AT_A_TIME = 16

    def __init__(self):
        self.sums = Accumulator(3)
        self.pending: list[tuple[Tensor, Tensor, Tensor]] = []
        self.first: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, losses: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add one batch."""
        if self.first is None:
            self.first = logits, losses, y
        self.pending.append((losses.detach(), logits.detach(), y))
        if len(self.pending) == self.BATCHES_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        """Add the pending batches to the sums."""
        if self.pending:
            losses, logits, y = map(torch.cat, zip(*self.pending, strict=True))
            self.sums.add(losses.sum(dim=0), accuracy(logits, y), len(y))
            self.pending.clear()

    def means(self) -> tuple[float, ...]:
        """Return (mean loss, accuracy), read from the device.

        Raises:
            ValueError: there has been no sample.
        """
        self.flush()
        return _means(self.sums)


def _means(sums: Accumulator) -> tuple[float, ...]:
    *totals, count = sums.data
    if not count:
        raise ValueError("there are no samples to average over")
    return tuple((total.cpu().double() / count).tolist() for total in totals)


def _per_sample(losses: Tensor, y: Tensor) -> Tensor:
    """One loss per sample, shaped as `y`; a scalar is taken for the mean of the batch.

    Raises:
        ValueError: the losses have another shape.
    """
    if losses.ndim == 0:
        return losses.expand(y.shape)
    if losses.shape != y.shape:
        raise ValueError(
            f"the loss must return one value per sample, {tuple(y.shape)}, or their mean, got {tuple(losses.shape)}"
        )
    return losses


def _check_updater(updater: Any) -> None:
    """Refuse what cannot be called as `updater.zero_grad()` and `updater.step()`.

    Raises:
        TypeError: it cannot.
    """
    try:
        for method in (updater.zero_grad, updater.step):
            inspect.signature(method).bind()
    except (AttributeError, TypeError) as error:
        raise TypeError(
            f"updater must have zero_grad() and step() without arguments, as torch.optim.SGD and scratch.SGD have; "
            f"got {getattr(updater, '__name__', type(updater).__name__)}"
        ) from error


def _warn_of_probabilities(logits: Tensor, losses: Tensor, y: Tensor) -> None:
    """Warn where a cross-entropy that takes logits is given probabilities: it trains on, but to a worse result."""
    if logits.ndim == 2 and len(y) and logits.detach().amin() >= 0 and (logits.sum(dim=1) - 1).abs().amax() < 1e-4:
        of_logits = torch.nn.functional.cross_entropy(logits.detach(), y, reduction="none")
        if (of_logits.mean() - losses.detach().mean()).abs() < 1e-4:
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
    The arguments are those of `Learner`; `loss` may also return the mean of the batch, as `nn.CrossEntropyLoss()`.
    It warns where a loss that takes logits is given probabilities.

    Raises:
        TypeError: `updater` has no `zero_grad()` and `step()` that need no arguments.
        ValueError: `train_iter` is empty, or `loss` returns values of another shape.
    """
    _check_updater(updater)
    tally = take_steps(net, train_iter, loss, updater, backward)
    figures = tally.means()
    _warn_of_probabilities(*tally.first)
    return figures


def take_steps(net: Net, train_iter: Batches, loss: Loss, updater: Any, backward: Callable) -> Tally:
    """Take the steps of `train_epoch` without reading anything from the device."""
    tally = Tally()
    with in_mode(net, training=True):
        for X, y in train_iter:
            logits = net(X)
            losses = _per_sample(loss(logits, y), y)
            updater.zero_grad()
            backward(net, loss, losses)
            updater.step()
            tally.add(losses, logits, y)
    return tally


@torch.no_grad()
def evaluate(net: Net, data_iter: Batches, loss: Loss) -> tuple[float, float]:
    """Return (mean loss, accuracy) of a network on a data set, changing neither.

    `loss` is that of `Learner`, or returns the mean of the batch.

    Raises:
        ValueError: `data_iter` is empty, or `loss` returns values of another shape.
    """
    tally = Tally()
    with in_mode(net, training=False):
        for X, y in data_iter:
            logits = net(X)
            tally.add(_per_sample(loss(logits, y), y), logits, y)
    return tally.means()


@torch.no_grad()
def evaluate_accuracy(net: Net, data_iter: Batches) -> float:
    """Return the fraction of samples that a network classifies correctly.

    Raises:
        ValueError: `data_iter` is empty.
    """
    sums = Accumulator(2)
    with in_mode(net, training=False):
        for X, y in data_iter:
            sums.add(accuracy(net(X), y), len(y))
    return _means(sums)[0]


class EpochResult(NamedTuple):
    """The figures of one epoch. Losses are means over samples, accuracies are fractions, `seconds` covers it all."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether the train and test losses are; if not, training has diverged."""
        return math.isfinite(self.train_loss) and math.isfinite(self.test_loss)


class DivergedError(ArithmeticError):
    """The loss is no longer finite."""

    def __init__(self, epoch: int):
        super().__init__(f"the loss is no longer finite in epoch {epoch}")
        self.epoch = epoch


def run_epoch(
    learner: Learner,
    epoch: int,
    train_iter: Batches,
    test_iter: Batches,
    validation_iter: Batches | None = None,
    train_epoch: Callable[..., tuple[float, float]] = train_epoch,
) -> EpochResult:
    """Train one epoch and evaluate after it; `train_epoch` may be a faster one that does the same."""
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
            raise DivergedError(epoch)
        for listener in listeners:
            listener(results[-1])
    return results
