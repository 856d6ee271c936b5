"""What a run is asked to do: every setting of the command line, checked."""

import math
from dataclasses import dataclass
from pathlib import PurePath

from d2l_softmax.errors import UserError
from d2l_softmax.modes import MODES

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Settings:
    """The settings of one run; their meaning is in `python train.py --help`.

    Raises:
        UserError: a value is out of range; the message names the option, the value and what is allowed.
    """

    mode: str = "scratch"
    dataset: str = "auto"
    data_dir: str = "data"
    resize: int | None = None
    epochs: int = 10
    batch_size: int = 256
    lr: float = 0.1
    seed: int = 326
    device: str = "auto"
    dtype: str = "float32"
    logdir: str = "runs"
    run_name: str | None = None

    def __post_init__(self):
        _one_of("--mode", self.mode, tuple(MODES))
        _one_of("--dtype", self.dtype, DTYPES)
        _at_least("--epochs", self.epochs, 1)
        _at_least("--batch-size", self.batch_size, 1)
        _at_least("--seed", self.seed, 0)
        if self.seed >= 2**63:
            raise UserError(f"--seed must be below 2**63, got {self.seed}")
        if self.resize is not None:
            _at_least("--resize", self.resize, 1)
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UserError(f"--lr must be a finite number above 0, got {self.lr}")
        if self.run_name is not None:
            path = PurePath(self.run_name)
            if not path.parts or path.is_absolute() or ".." in path.parts:
                raise UserError(f"--run-name must name a folder inside --logdir, got '{self.run_name}'")


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{option} must be one of {', '.join(allowed)}, got '{value}'")


def _at_least(option: str, value: int, lowest: int) -> None:
    if value < lowest:
        raise UserError(f"{option} must be a whole number of at least {lowest}, got {value}")
