"""Learners that differ in their rates only, trained together: all their weights side by side in one matrix product.

It pays because most of a step is spent on things that do not depend on how many columns W has: gathering the batch,
reading it for the products, starting each operation. Every learner keeps its own updater and follows the trajectory
that it would follow alone, up to the rounding of the products; one that diverges does not touch the others.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from d2l_softmax.learner import Learner
from d2l_softmax.training import Batches, EpochResult, evaluate, train_epoch

Build = Callable[[int, int], Learner]


class Stack:
    """Several learners of one mode that `train_epoch` and `evaluate` take for one, with figures for each.

    It is made of the mode's own pieces: a learner as wide as all together gives the logits, the losses and the
    gradients. The weights and gradients of every learner become columns of the wide one's memory, so that its own
    updater changes them there.

    Args:
        learners: alike in everything but their weights and the settings of their updaters.
        build: makes a learner of their mode with the given number of features and outputs.
    """

    def __init__(self, learners: Sequence[Learner], build: Build):
        self.learners = learners
        num_inputs, self.classes = learners[0].W.shape
        self.wide = build(num_inputs, len(learners) * self.classes)
        self.net, self.loss, self.updater, self.backward = _Net(self), _Loss(self), self, self.wide.backward
        wide = [*_parameters_and_gradients(self.wide), self.wide.W, self.wide.b]
        for k, learner in enumerate(learners):
            own = [*_parameters_and_gradients(learner), learner.W, learner.b]
            for tensor, of in zip(own, wide, strict=True):
                tensor.data = _columns(of, tensor, k).copy_(tensor.detach())

    def batches(self, data_iter: Batches) -> "_Batches":
        """The batches of `data_iter` with a column of labels for each learner."""
        return _Batches(data_iter, len(self.learners))

    def zero_grad(self) -> None:
        """Set all gradients to zero, where they are: the learners' updaters read them there."""
        for gradient in self.wide.gradients():
            gradient.zero_()

    def step(self) -> None:
        """Let every learner's updater take its step."""
        for learner in self.learners:
            learner.updater.step()


def _parameters_and_gradients(learner: Learner) -> list[Tensor]:
    """What the learner's updater changes and what it reads, which exists once there has been a backward pass."""
    X, y = learner.W.new_zeros(1, len(learner.W)), torch.zeros(1, dtype=torch.int64, device=learner.W.device)
    learner.backward(learner.net, learner.loss, learner.loss(learner.net(X), y))
    parameters = [p for group in learner.updater.param_groups for p in group["params"]]
    return [*parameters, *learner.gradients()]


def _columns(wide: Tensor, like: Tensor, k: int) -> Tensor:
    """The part of `wide` that belongs to learner `k`, along the one dimension in which it is wider than `like`."""
    dim = next((d for d in range(like.ndim) if wide.shape[d] != like.shape[d]), 0)
    return wide.detach().narrow(dim, k * like.shape[dim], like.shape[dim])


class _Net:
    """X ↦ logits (batch, learners, classes)."""

    def __init__(self, stack: Stack):
        self.net, self.shape = stack.wide.net, (len(stack.learners), stack.classes)

    def __call__(self, X: Tensor) -> Tensor:
        return self.net(X).unflatten(1, self.shape)

    def backward(self, grad: Tensor) -> None:
        """For modes without autograd."""
        self.net.backward(grad.flatten(start_dim=1))


class _Loss:
    """Logits (batch, learners, classes) and labels (batch, learners) ↦ losses (batch, learners)."""

    def __init__(self, stack: Stack):
        self.loss, self.count = stack.wide.loss, len(stack.learners)

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        return self.loss(logits.flatten(end_dim=1), y.flatten()).view_as(y)

    def backward(self) -> Tensor:
        """For modes without autograd: of the mean over the batch, not over batch and learners."""
        return self.loss.backward().mul_(self.count).unflatten(0, (-1, self.count))


class _Batches:
    def __init__(self, data_iter: Any, count: int):
        self.data_iter, self.count = data_iter, count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for X, y in self.data_iter:
            yield X, y.unsqueeze(1).expand(-1, self.count)


def epochs_together(
    learners: dict[str, Learner],
    build: Build,
    train_iter: Batches,
    test_iter: Batches,
    num_epochs: int,
    *,
    validation_iter: Batches | None = None,
) -> Iterator[dict[str, EpochResult]]:
    """Train learners together, an epoch whenever results are asked for, and yield what it came to for each by name.

    One whose train or test loss is not finite is left out from that epoch on. The seconds of an epoch are shared
    equally among those that had it.
    """
    stack = Stack(list(learners.values()), build)
    for epoch in range(1, num_epochs + 1):
        start = time.perf_counter()
        figures = train_epoch(stack.net, stack.batches(train_iter), stack.loss, stack.updater, stack.backward)
        figures += evaluate(stack.net, stack.batches(test_iter), stack.loss)
        if validation_iter is not None:
            figures += evaluate(stack.net, stack.batches(validation_iter), stack.loss)
        seconds = (time.perf_counter() - start) / len(learners)
        results = {
            name: EpochResult(epoch, *own[:4], seconds, *own[4:])
            for name, *own in zip(learners, *figures, strict=True)
            if math.isfinite(own[0]) and math.isfinite(own[2])
        }
        yield results
        if not results:
            return
        if len(results) < len(learners):
            learners = {name: learners[name] for name in results}
            stack = Stack(list(learners.values()), build)
