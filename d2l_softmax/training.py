"""The one training loop. It asks nothing about what it holds: a mode is whatever keeps the protocol of `Learner`."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from d2l_softmax.learner import autograd_backward

Batches = Iterable[tuple[Tensor, Tensor]]


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

    With one dimension more after the batch, in both, it counts for each index of that dimension.
    """
    y_hat = y_hat.detach()
    predicted = y_hat.argmax(dim=-1) if y_hat.ndim > y.ndim else y_hat
    return (predicted == y).sum(dim=0)


@contextmanager
def _in_mode(net: Any, training: bool) -> Iterator[None]:
    """Put an `nn.Module` into train or eval mode for a while; other networks have no modes."""
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
    """The mean loss and the accuracy of many batches, worked out for several at a time, which is cheaper."""

    AT_A_TIME = 16

    def __init__(self):
        self.sums = Accumulator(3)
        self.waiting: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, losses: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add one batch."""
        self.waiting.append((losses.detach(), logits.detach(), y))
        if len(self.waiting) == self.AT_A_TIME:
            self.work_out()

    def work_out(self) -> None:
        """Add what is waiting to the sums."""
        if self.waiting:
            losses, logits, y = map(torch.cat, zip(*self.waiting, strict=True))
            self.sums.add(losses.sum(dim=0), accuracy(logits, y), len(y))
            self.waiting.clear()

    def means(self) -> tuple[float, ...]:
        """(mean loss, accuracy), read from the device.

        Raises:
            ValueError: there has been no sample.
        """
        self.work_out()
        return _means(self.sums)


def train_epoch(
    net: Callable[[Tensor], Tensor],
    train_iter: Batches,
    loss: Callable[[Tensor, Tensor], Tensor],
    updater: Any,
    backward: Callable[[Any, Any, Tensor], None] = autograd_backward,
) -> tuple[float, float]:
    """Take one pass over the training data and return (mean train loss, train accuracy).

    Both are means over samples, each taken when its batch was used. Nothing is read from the device until the end.
    The arguments are those of `Learner`.

    Raises:
        ValueError: `train_iter` is empty.
    """
    return take_steps(net, train_iter, loss, updater, backward).means()


def take_steps(
    net: Callable[[Tensor], Tensor],
    train_iter: Batches,
    loss: Callable[[Tensor, Tensor], Tensor],
    updater: Any,
    backward: Callable[[Any, Any, Tensor], None],
) -> Tally:
    """Take the steps of `train_epoch` without reading anything from the device."""
    tally = Tally()
    with _in_mode(net, training=True):
        for X, y in train_iter:
            logits = net(X)
            losses = loss(logits, y)
            updater.zero_grad()
            backward(net, loss, losses)
            updater.step()
            tally.add(losses, logits, y)
    return tally


@torch.no_grad()
def evaluate(
    net: Callable[[Tensor], Tensor], data_iter: Batches, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[float, float]:
    """Return (mean loss, accuracy) of a network on a data set, changing neither.

    Raises:
        ValueError: `data_iter` is empty.
    """
    tally = Tally()
    with _in_mode(net, training=False):
        for X, y in data_iter:
            logits = net(X)
            tally.add(loss(logits, y), logits, y)
    return tally.means()


@torch.no_grad()
def evaluate_accuracy(net: Callable[[Tensor], Tensor], data_iter: Batches) -> float:
    """Return the fraction of samples that a network classifies correctly.

    Raises:
        ValueError: `data_iter` is empty.
    """
    sums = Accumulator(2)
    with _in_mode(net, training=False):
        for X, y in data_iter:
            sums.add(accuracy(net(X), y), len(y))
    return _means(sums)[0]


def _means(sums: Accumulator) -> tuple[float, ...]:
    *totals, count = sums.data
    if not count:
        raise ValueError("there are no samples to average over")
    return tuple((total.cpu().double() / count).tolist() for total in totals)


class EpochResult(NamedTuple):
    """What one epoch came to. Losses are means over samples, accuracies are fractions, `seconds` is all of it."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


class DivergedError(ArithmeticError):
    """The loss stopped being finite."""

    def __init__(self, epoch: int):
        super().__init__(f"the loss stopped being finite in epoch {epoch}")
        self.epoch = epoch


def epochs(
    net: Callable[[Tensor], Tensor],
    train_iter: Batches,
    test_iter: Batches,
    loss: Callable[[Tensor, Tensor], Tensor],
    num_epochs: int,
    updater: Any,
    *,
    backward: Callable[[Any, Any, Tensor], None] = autograd_backward,
    validation_iter: Batches | None = None,
    first_epoch: int = 1,
    one_epoch: Callable[..., tuple[float, float]] = train_epoch,
) -> Iterator[EpochResult]:
    """Train epochs `first_epoch` to `num_epochs`, each when the next result is asked for, and evaluate after each.

    `one_epoch` does what `train_epoch` does, perhaps faster.

    Raises:
        DivergedError: the train or test loss is not finite.
    """
    for epoch in range(first_epoch, num_epochs + 1):
        start = time.perf_counter()
        train_figures = one_epoch(net, train_iter, loss, updater, backward)
        test_figures = evaluate(net, test_iter, loss)
        validation_figures = () if validation_iter is None else evaluate(net, validation_iter, loss)
        if not (math.isfinite(train_figures[0]) and math.isfinite(test_figures[0])):
            raise DivergedError(epoch)
        seconds = time.perf_counter() - start
        yield EpochResult(epoch, *train_figures, *test_figures, seconds, *validation_figures)


def train(
    net: Callable[[Tensor], Tensor],
    train_iter: Batches,
    test_iter: Batches,
    loss: Callable[[Tensor, Tensor], Tensor],
    num_epochs: int,
    updater: Any,
    *,
    backward: Callable[[Any, Any, Tensor], None] = autograd_backward,
    validation_iter: Batches | None = None,
    listeners: Iterable[Callable[[EpochResult], None]] = (),
) -> list[EpochResult]:
    """Train for `num_epochs` epochs, evaluating after each, and tell every listener what each came to.

    Raises:
        DivergedError: the train or test loss is not finite; listeners have heard of the epochs before.
    """
    results = []
    for result in epochs(
        net,
        train_iter,
        test_iter,
        loss,
        num_epochs,
        updater,
        backward=backward,
        validation_iter=validation_iter,
    ):
        results.append(result)
        for listener in listeners:
            listener(result)
    return results
