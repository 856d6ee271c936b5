"""A run's own folder: made once, never shared, with its settings and its figures as plain files."""

import csv
import itertools
import json
import re
from datetime import datetime
from pathlib import Path

from d2l_softmax.errors import UserError
from d2l_softmax.training import EpochResult

CONFIG = "config.json"
METRICS = "metrics.csv"


def create_run_folder(logdir: str | Path, dataset: str, mode: str, name: str | None = None) -> Path:
    """Make a new folder `<logdir>/<name>` or, without a name, `<logdir>/<dataset>-<mode>-<date>-<time>`.

    A folder made in the same second by another run gets a number at its end, so no two runs ever share one.

    Raises:
        UserError: the folder cannot be made, or `name` already holds something.
    """
    if name is not None:
        folder = Path(logdir) / name
        _make(folder, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"{folder} already holds a run: choose another --run-name, or remove it")
        return folder
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    stem = re.sub(r"[^\w.-]+", "_", f"{dataset}-{mode}-{stamp}")
    for number in itertools.count(1):
        folder = Path(logdir) / (stem if number == 1 else f"{stem}-{number}")
        try:
            _make(folder, exist_ok=False)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def _make(folder: Path, exist_ok: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        if isinstance(error, FileExistsError) and not exist_ok:
            raise
        raise UserError(
            f"cannot make the run's folder {folder}: {error.strerror}; name a writable place with --logdir"
        ) from error


def write_config(folder: Path, config: dict) -> None:
    """Write `config.json`."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class MetricsFile:
    """A listener that writes one line an epoch to `metrics.csv`, complete after every epoch."""

    def __init__(self, folder: Path):
        self.path = folder / METRICS
        self._append(EpochResult._fields)

    def __call__(self, result: EpochResult) -> None:
        """Add the line of one epoch."""
        self._append(result)

    def _append(self, row: tuple) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
