"""How the learning rate changes from epoch to epoch."""

import math
from collections.abc import Callable
from typing import Any

from d2l_softmax.training import EpochResult


def constant(epochs_done: int, num_epochs: int) -> float:
    """Always the whole learning rate."""
    return 1.0


def cosine(epochs_done: int, num_epochs: int) -> float:
    """Half a cosine from 1 at the first epoch towards 0 after the last (Loshchilov and Hutter, 2017, equation 5).

    It is `torch.optim.lr_scheduler.CosineAnnealingLR` with `T_max=num_epochs`, stepped once an epoch.
    """
    return 0.5 * (1 + math.cos(math.pi * epochs_done / num_epochs))


SCHEDULES: dict[str, Callable[[int, int], float]] = {"constant": constant, "cosine": cosine}


class LearningRate:
    """A listener that sets, after each epoch, the learning rate of the next; the first has all of `lr`."""

    def __init__(self, updater: Any, lr: float, schedule: str, num_epochs: int):
        self.updater, self.lr, self.factor, self.num_epochs = updater, lr, SCHEDULES[schedule], num_epochs

    def __call__(self, result: EpochResult) -> None:
        """Set the learning rate of the epoch after `result`."""
        for group in self.updater.param_groups:
            group["lr"] = self.lr * self.factor(result.epoch, self.num_epochs)
