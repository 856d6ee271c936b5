"""Learners that differ only in learning rate, momentum or weight decay, trained together in one matrix product.

It pays because most of a step is spent on things that do not depend on how many columns W has: gathering the batch,
reading it for the products, starting each operation. Every learner keeps its own updater and follows the trajectory
that it would follow alone, up to the rounding of the products; one that diverges does not affect the others.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from d2l_softmax.metrics import EpochResult
from d2l_softmax.training import Batches, Learner, run_epoch


class Stack:
    """Several learners of one mode that the loop takes for one.

    It is made of the mode's own pieces: a learner as wide as all together computes the logits, the losses and the
    gradients. The weights and gradients of every learner become columns of the wide one's memory, so that its own
    updater changes them there.

    Args:
        learners: alike in everything but their weights and the settings of their updaters.
        build: makes a learner of their mode with the given number of features and outputs.
    """

    def __init__(self, learners: Sequence[Learner], build: Callable[[int, int], Learner]):
        self.learners = learners
        num_inputs, self.classes = learners[0].W.shape
        self.wide = build(num_inputs, len(learners) * self.classes)
        self.net, self.loss, self.updater = _Net(self), _Loss(self), self
        for p in self.wide.parameters():
            p.grad = torch.zeros_like(p)
        for k, learner in enumerate(learners):
            for p, wide in zip(learner.parameters(), self.wide.parameters(), strict=True):
                p.grad = None
                p.data = _columns(wide, p, k).copy_(p.detach())
                p.grad = _columns(wide.grad, p, k)
            for tensor, wide in ((learner.W, self.wide.W), (learner.b, self.wide.b)):
                tensor.data = _columns(wide, tensor, k)

    def run_epoch(self, epoch: int, *data_iters: Batches) -> list[EpochResult]:
        """`training.run_epoch` for all learners: the result of each; the seconds are shared equally."""
        count = len(self.learners)
        # Every learner has its column of labels.
        columns = (((X, y.unsqueeze(1).expand(-1, count)) for X, y in data_iter) for data_iter in data_iters)
        result = run_epoch(self, epoch, *columns)
        result = result._replace(seconds=result.seconds / count)
        return [EpochResult(*(v[k] if isinstance(v, list) else v for v in result)) for k in range(count)]

    def zero_grad(self) -> None:
        """Set all gradients to zero, in place: the learners' updaters read them there."""
        for p in self.wide.parameters():
            p.grad.zero_()

    def step(self) -> None:
        """Let every learner's updater take its step."""
        for learner in self.learners:
            learner.updater.step()

    def backward(self, net: "_Net", loss: "_Loss", losses: Tensor) -> None:
        """The wide learner's, of the mean over the batch, not over batch and learners."""
        self.wide.backward(net, loss, losses * len(self.learners))


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

    def __getattr__(self, name: str) -> Any:
        # `train` and `training`, where the wide network is a module.
        return getattr(self.net, name)

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
