"""A run's own folder: made once, never shared, locked while it is written, its files never found half-written."""

import csv
import io
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from d2l_softmax.errors import UserError

CONFIG, LOCK = "config.json", ".lock"


def create_run_folder(logdir: str | Path, label: str, name: str | None = None) -> Path:
    """Make a new folder `<logdir>/<name>` or, without a name, `<logdir>/<label>-<date>-<time>`.

    A folder made in the same second by another run gets a number at its end, so no two runs ever share one.

    Raises:
        UserError: `name` already holds something.
        OSError: the folder cannot be made.
    """
    if name is not None:
        folder = Path(logdir) / name
        folder.mkdir(parents=True, exist_ok=True)
        if {path.name for path in folder.iterdir()} - {LOCK}:
            raise UserError(f"{folder} already holds a run: choose another --run-name, or remove it")
        return folder
    Path(logdir).mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", f"{label}-{datetime.now():%Y%m%d-%H%M%S}")
    for number in itertools.count(1):
        folder = Path(logdir) / (stem if number == 1 else f"{stem}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run; the system releases it when this process ends, however it does.

    Raises:
        UserError: another process is writing to it.
    """
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"{folder} is still being written by another process: wait for it, or stop it") from error


def write_config(folder: Path, config: dict) -> None:
    """Write `config.json`. What of a path is not UTF-8 is escaped, as JSON has it."""
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    replace(folder / CONFIG, text.encode(errors="backslashreplace"))


def replace(path: Path, content: bytes) -> None:
    """Put `content` in place of a file, complete or not at all.

    It is written to a temporary file beside `path`, flushed to the disk and renamed.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        # That of a full disk names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def write_csv(path: Path, rows: Iterable[Iterable]) -> None:
    """Write a table in place of a file; the first row has the names of the columns."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    replace(path, buffer.getvalue().encode())


def append_csv(path: Path, row: Iterable) -> None:
    """Add a row to a table."""
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
