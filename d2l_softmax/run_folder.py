"""A run's own folder: made once, never shared, with its settings and its figures as plain files."""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from d2l_softmax.checkpoint import replace
from d2l_softmax.errors import UserError
from d2l_softmax.training import EpochResult

CONFIG = "config.json"
METRICS = "metrics.csv"


def create_run_folder(logdir: str | Path, label: str, name: str | None = None) -> Path:
    """Make a new folder `<logdir>/<name>` or, without a name, `<logdir>/<label>-<date>-<time>`.

    A folder made in the same second by another run gets a number at its end, so no two runs ever share one.

    Raises:
        UserError: the folder cannot be made, or `name` already holds something.
    """
    if name is not None:
        folder = Path(logdir) / name
        check_run_name(logdir, name)
        _make(folder, exist_ok=True)
        return folder
    stem = re.sub(r"[^\w.-]+", "_", f"{label}-{datetime.now():%Y%m%d-%H%M%S}")
    for number in itertools.count(1):
        folder = Path(logdir) / (stem if number == 1 else f"{stem}-{number}")
        try:
            _make(folder, exist_ok=False)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def check_run_name(logdir: str | Path, name: str) -> None:
    """Refuse a name whose folder already holds something.

    Raises:
        UserError: it does.
    """
    folder = Path(logdir) / name
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} already holds a run: choose another --run-name, or remove it")


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
    replace(folder / CONFIG, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())


def read_config(folder: Path) -> dict:
    """Read `config.json`.

    Raises:
        UserError: there is none, or it is not one of this project.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_bytes())
        if not isinstance(config["settings"], dict) or not isinstance(config["data"], dict):
            raise TypeError
    except OSError as error:
        raise UserError(f"{folder} holds no run: cannot read {path} ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged or not of this project") from error
    return config


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run; the system lets go when this process ends, however it does.

    Raises:
        UserError: another process is writing to it, or the folder cannot be written.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(f"{folder} is still being written by another process: wait for it, or stop it") from error
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    with lock:
        yield


class CsvFile:
    """A table with a line of names, complete after every row that is added."""

    def __init__(self, path: Path, names: Iterable[str], rows: Iterable[Iterable] = ()):
        self.path = path
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\n").writerows([names, *rows])
        replace(path, buffer.getvalue().encode())

    def add(self, row: Iterable) -> None:
        """Add one line.

        Raises:
            OSError: the table is gone (it is not begun anew without what it held), or cannot be written.
        """
        with self.path.open("r+", newline="", encoding="utf-8") as file:
            file.seek(0, io.SEEK_END)
            csv.writer(file, lineterminator="\n").writerow(row)


class MetricsFile:
    """A listener that writes one line an epoch to `metrics.csv`; columns that stay empty are left out."""

    def __init__(self, folder: Path, validation: bool, history: Iterable[EpochResult] = ()):
        self.names = EpochResult._fields if validation else EpochResult._fields[:6]
        rows = (result[: len(self.names)] for result in history)
        self.file = CsvFile(folder / METRICS, self.names, rows)

    def __call__(self, result: EpochResult) -> None:
        """Add the line of one epoch."""
        self.file.add(result[: len(self.names)])
