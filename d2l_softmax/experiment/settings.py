"""Every setting of a run, its default and what it may be."""

import difflib
import math
from dataclasses import asdict, dataclass, fields
from pathlib import PurePath
from typing import Any

from d2l_softmax.errors import UserError
from d2l_softmax.initialisers import INITIALISERS
from d2l_softmax.modes import MODES, is_own_file

COMPARE = "compare"
CHOICES = {
    "mode": (*MODES, "FILE.py", COMPARE),
    "lr_schedule": ("constant", "cosine"),
    "init": tuple(INITIALISERS),
    "pixels": ("unit", "raw"),
    "dtype": ("float32", "float64"),
}
LIMITS = {
    "epochs": ("at least 1", lambda n: n >= 1),
    "lr": ("above 0 and finite", lambda x: 0 < x < math.inf),
    "batch_size": ("at least 1", lambda n: n >= 1),
    "momentum": ("at least 0 and below 1", lambda x: 0 <= x < 1),
    "weight_decay": ("at least 0 and finite", lambda x: 0 <= x < math.inf),
    "seed": ("at least 0 and below 2^63", lambda n: 0 <= n < 2**63),
    "resize": ("at least 1 and below 2^16", lambda n: n is None or 1 <= n < 2**16),
    "validation": ("at least 0", lambda n: n >= 0),
    "run_name": ("the name of a folder inside --logdir", lambda name: name is None or _is_inside(PurePath(name))),
}
# The settings that a sweep may vary, those of them in which runs may differ and still be trained together, and the
# settings that may change when a run is resumed.
SWEPT = ("lr", "batch_size", "momentum", "weight_decay", "seed")
RATES = ("lr", "momentum", "weight_decay")
CHANGEABLE = ("epochs", "device", "data_dir", "figures")


def _is_inside(path: PurePath) -> bool:
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


@dataclass(frozen=True)
class Settings:
    """The settings of one run, named as the options of `train.py`, whose `--help` says what they are.

    The mode is one of `MODES`, or a learner's own file, whose name ends in `.py`. `compare` stands for several runs.

    Raises:
        UserError: a value is not allowed; the message names the option, the value and what is allowed.
    """

    mode: str = "scratch"
    epochs: int = 10
    lr: float = 0.1
    lr_schedule: str = "constant"
    batch_size: int = 256
    momentum: float = 0.0
    weight_decay: float = 0.0
    init: str = "normal"
    seed: int = 326
    dataset: str = "auto"
    data_dir: str = "data"
    pixels: str = "unit"
    resize: int | None = None
    validation: int = 0
    device: str = "auto"
    dtype: str = "float32"
    figures: bool = True
    logdir: str = "runs"
    run_name: str | None = None

    def __post_init__(self):
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            option = f"--{name.replace('_', '-')}"
            if not isinstance(value, int | float if setting.type is float else setting.type):
                raise UserError(f"{option} must be {getattr(setting.type, '__name__', setting.type)}, got {value!r}")
            if isinstance(value, str) and value.encode(errors="ignore").decode() != value:
                raise UserError(f"{option} must be text in UTF-8, got {value!r}")
            choices = CHOICES.get(name, [value])
            if value not in choices and not (name == "mode" and is_own_file(value)):
                near = difflib.get_close_matches(value.lower(), choices, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UserError(f"{option} must be one of {', '.join(choices)}, got {value!r}{hint}")
            allowed, is_allowed = LIMITS.get(name, ("", lambda _: True))
            if not is_allowed(value):
                raise UserError(f"{option} must be {allowed}, got {value!r}")

    def learning_rate(self, epoch: int) -> float:
        """The learning rate in an epoch, counted from 1.

        `cosine` is half a cosine from `lr` in the first epoch towards 0 after the last (Loshchilov and Hutter, 2017,
        equation 5): `torch.optim.lr_scheduler.CosineAnnealingLR` with `T_max=epochs`, stepped once per epoch.
        """
        if self.lr_schedule == "constant":
            return self.lr
        return self.lr * (0.5 * (1 + math.cos(math.pi * (epoch - 1) / self.epochs)))

    def divisor(self, max_value: int) -> int:
        """What bytes are divided by, where `max_value` is the byte that stands for an intensity of 1."""
        return max_value if self.pixels == "unit" else 1

    def identity(self) -> dict[str, Any]:
        """The settings that, with the data, determine the results of a run."""
        others = (*CHANGEABLE, "mode", "dataset", "logdir", "run_name")
        return {name: value for name, value in asdict(self).items() if name not in others}
