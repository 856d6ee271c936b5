"""What every mode hands to the training loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


def autograd_backward(net: Any, loss: Any, losses: Tensor) -> None:
    """Leave the gradient of the mean of `losses` (batch,) in every parameter's `.grad`, by autograd.

    It starts from d(mean)/dl_n = 1/batch, which spares the mean itself.
    """
    losses.backward(torch.full_like(losses, 1 / len(losses)))


class Learner(NamedTuple):
    """A network with its loss and its updater: one mode of softmax regression, ready to train.

    net: maps images (batch, 1, height, width) or (batch, features) to logits (batch, classes).
    loss: maps (logits, y) to one loss a sample, (batch,).
    updater: `zero_grad()`, `step()`, `param_groups`, `state_dict()` and `load_state_dict()`, as
        `torch.optim.Optimizer` has them.
    W, b: the weights (features, classes) and bias (classes,), sharing memory with what the net computes with, so
        that copying into them sets the network.
    gradients: returns the gradients of the updater's parameters, in their order, that the last backward pass left and
        the next step uses; they may be changed in place.
    backward: `backward(net, loss, losses)` computes the gradient of the batch's mean loss. It is the one seam that a
        mode without autograd needs.
    """

    net: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]
    updater: Any
    W: Tensor
    b: Tensor
    gradients: Callable[[], list[Tensor]]
    backward: Callable[[Any, Any, Tensor], None] = autograd_backward
