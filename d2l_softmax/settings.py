"""What a run is asked to do: every setting of the command line, checked."""

import math
from dataclasses import dataclass
from pathlib import PurePath

from d2l_softmax.errors import UserError
from d2l_softmax.init import INITIALISERS
from d2l_softmax.modes import MODES
from d2l_softmax.schedule import SCHEDULES

DTYPES = ("float32", "float64")
PIXELS = ("unit", "raw")


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
    pixels: str = "unit"
    validation: int = 0
    epochs: int = 10
    batch_size: int = 256
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    lr_schedule: str = "constant"
    init: str = "normal"
    eval_every: int | None = None
    checkpoint_every: int = 1
    figures: bool = True
    seed: int = 326
    device: str = "auto"
    dtype: str = "float32"
    cuda_graph: bool = False
    logdir: str = "runs"
    run_name: str | None = None

    def __post_init__(self):
        _one_of("--mode", self.mode, tuple(MODES))
        _one_of("--dtype", self.dtype, DTYPES)
        _one_of("--pixels", self.pixels, PIXELS)
        _one_of("--init", self.init, tuple(INITIALISERS))
        _one_of("--lr-schedule", self.lr_schedule, tuple(SCHEDULES))
        _at_least("--epochs", self.epochs, 1)
        _at_least("--validation", self.validation, 0)
        _at_least("--checkpoint-every", self.checkpoint_every, 1)
        _at_least("--batch-size", self.batch_size, 1)
        _at_least("--seed", self.seed, 0)
        if self.seed >= 2**63:
            raise UserError(f"--seed must be below 2**63, got {self.seed}")
        for option, value in (("--resize", self.resize), ("--eval-every", self.eval_every)):
            if value is not None:
                _at_least(option, value, 1)
        if self.cuda_graph and self.eval_every is not None:
            raise UserError("--cuda-graph goes not with --eval-every: nothing can happen within a captured epoch")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise UserError(f"--lr must be a finite number above 0, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise UserError(f"--momentum must be at least 0 and below 1, got {self.momentum}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise UserError(f"--weight-decay must be a finite number of at least 0, got {self.weight_decay}")
        if self.run_name is not None:
            path = PurePath(self.run_name)
            if not path.parts or path.is_absolute() or ".." in path.parts:
                raise UserError(f"--run-name must name a folder inside --logdir, got '{self.run_name}'")

    def scale(self, white: int) -> int:
        """What bytes are divided by, where `white` is the byte that stands for an intensity of 1."""
        return white if self.pixels == "unit" else 1


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{option} must be one of {', '.join(allowed)}, got '{value}'")


def _at_least(option: str, value: int, lowest: int) -> None:
    if value < lowest:
        raise UserError(f"{option} must be a whole number of at least {lowest}, got {value}")
