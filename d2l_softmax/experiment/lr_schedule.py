"""How the learning rate changes from epoch to epoch, as a factor of `--lr`."""

import math
from collections.abc import Callable


def constant(epoch: int, num_epochs: int) -> float:
    """The whole learning rate."""
    return 1.0


def cosine(epoch: int, num_epochs: int) -> float:
    """Half a cosine from 1 in the first epoch towards 0 after the last (Loshchilov and Hutter, 2017, equation 5).

    It is `torch.optim.lr_scheduler.CosineAnnealingLR` with `T_max=num_epochs`, stepped once per epoch.
    """
    return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / num_epochs))


SCHEDULES: dict[str, Callable[[int, int], float]] = {"constant": constant, "cosine": cosine}
