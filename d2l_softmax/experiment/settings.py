"""Every setting of a run: its default, its help and what it may be. The command line is made from this table."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from d2l_softmax.data.catalogue import DATASETS
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.lr_schedule import SCHEDULES
from d2l_softmax.initialisers import INITIALISERS
from d2l_softmax.modes import MODES

# Longest name of a folder that file systems take.
MAX_NAME = 255


def _setting(
    default: Any,
    help: str,
    metavar: str | None = None,
    *,
    group: str | None = None,
    choices: Iterable[str] = (),
    least: float | None = None,
    above: float | None = None,
    below: float = math.inf,
    swept: bool = False,
) -> Any:
    """A field of `Settings`.

    Args:
        default, help, metavar: as argparse has them.
        group: the heading in `--help`; None continues the one before.
        choices: what is allowed, for a string.
        least, above, below: what is allowed, for a number; it must be finite too.
        swept: whether a sweep may give several values.
    """
    metavar = "|".join(choices) if choices else metavar
    limits = {"choices": tuple(choices), "least": least, "above": above, "below": below}
    return field(
        default=default, metadata={"help": help, "metavar": metavar, "group": group, "swept": swept, **limits}
    )


@dataclass(frozen=True)
class Settings:
    """The settings of one run.

    Raises:
        UserError: a value is not allowed; the message names the option, the value and what is allowed.
    """

    mode: str = _setting("scratch", "which implementation", group="what to train", choices=MODES)
    epochs: int = _setting(10, "passes over the training images", "N", least=1)
    lr: float = _setting(0.1, "learning rate; several values, here or below, make a sweep", "X", above=0, swept=True)
    lr_schedule: str = _setting("constant", "how it changes from epoch to epoch", choices=SCHEDULES)
    batch_size: int = _setting(256, "images per step", "N", least=1, swept=True)
    momentum: float = _setting(0.0, "of gradient descent", "X", least=0, below=1, swept=True)
    weight_decay: float = _setting(0.0, "factor of the L2 penalty", "X", least=0, swept=True)
    init: str = _setting("normal", "how the weights are drawn", choices=INITIALISERS)
    seed: int = _setting(326, "of the weights and of the order of the images", "N", least=0, below=2**63, swept=True)
    dataset: str = _setting(
        "auto",
        f"{', '.join(DATASETS)}, or a folder that holds four IDX files; auto is Fashion-MNIST or, where that is not "
        "available, digits",
        "NAME|FOLDER",
        group="on which data",
    )
    data_dir: str = _setting("data", "where data sets are found and downloaded to", "DIR")
    pixels: str = _setting("unit", "scaled to 0 … 1, or left as they are", choices=("unit", "raw"))
    resize: int | None = _setting(None, "scale to N×N pixels; default: leave", "N", least=1, below=2**16)
    validation: int = _setting(0, "training images to hold out and report on", "N", least=0)
    device: str = _setting("auto", "where to compute", "auto|cpu|cuda|cuda:N|mps", group="where and how")
    dtype: str = _setting("float32", "precision of the arithmetic", choices=("float32", "float64"))
    cuda_graph: bool = _setting(False, "capture the steps of an epoch once and replay them; CUDA only")
    figures: bool = _setting(True, "draw no pictures")
    logdir: str = _setting("runs", "the folder of all runs", "DIR")
    run_name: str | None = _setting(None, "of the run's folder; default: data set, mode and time", "NAME")

    def __post_init__(self):
        for setting in fields(self):
            _check(f"--{setting.name.replace('_', '-')}", getattr(self, setting.name), setting)
        if self.run_name is not None:
            path = PurePath(self.run_name)
            inside = path.parts and not path.is_absolute() and ".." not in path.parts
            if not inside or any(len(part.encode(errors="replace")) > MAX_NAME for part in path.parts):
                raise UserError(f"--run-name must name a folder inside --logdir, got '{self.run_name}'")

    def scale(self, max_value: int) -> int:
        """What bytes are divided by, where `max_value` is the byte that stands for an intensity of 1."""
        return max_value if self.pixels == "unit" else 1


# The settings that a sweep may vary.
SWEPT = tuple(setting.name for setting in fields(Settings) if setting.metadata["swept"])


def one_of(option: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        UserError: it is none; the message names the nearest one.
    """
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{option} must be one of {', '.join(choices)}, got {value!r}{hint}")


def _check(option: str, value: Any, setting: Any) -> None:
    """Refuse a value of another type or outside what the setting allows."""
    if value is None and setting.default is None:
        return
    kind = setting.type if isinstance(setting.type, type) else next(t for t in setting.type.__args__ if t)
    limits = setting.metadata
    if limits["choices"]:
        one_of(option, value, limits["choices"])
        return
    allowed = {str: "text in UTF-8", bool: "true or false", int: "a whole number", float: "a finite number"}[kind]
    right = type(value) is kind or (kind is float and type(value) is int and abs(value) < 2**53)
    if kind is str:
        right = right and value.encode(errors="ignore").decode() == value
    if limits["least"] is not None:
        allowed += f" of at least {limits['least']}"
        right = right and value >= limits["least"]
    if limits["above"] is not None:
        allowed += f" above {limits['above']}"
        right = right and value > limits["above"]
    if limits["below"] < math.inf:
        allowed += f" and below {limits['below']}"
    if not right or (kind in (int, float) and not -math.inf < value < limits["below"]):
        raise UserError(f"{option} must be {allowed}, got {value!r}")
