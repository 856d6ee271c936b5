"""A run's own folder: made once, never shared, locked while it is written, with its settings in `config.json`."""

import itertools
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from d2l_softmax.errors import UserError
from d2l_softmax.record.files import replace

CONFIG = "config.json"


def create_run_folder(logdir: str | Path, label: str, name: str | None = None) -> Path:
    """Make a new folder `<logdir>/<name>` or, without a name, `<logdir>/<label>-<date>-<time>`.

    A folder made in the same second by another run gets a number at its end, so no two runs ever share one.

    Raises:
        UserError: the folder cannot be made, or `name` already holds something.
    """
    if name is not None:
        check_run_name(logdir, name)
        _make(Path(logdir) / name, exist_ok=True)
        return Path(logdir) / name
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
    if os.path.isdir(folder) and any(folder.iterdir()):
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
    """Write `config.json`. What of a path is not UTF-8 is escaped, as JSON has it."""
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    replace(folder / CONFIG, text.encode(errors="backslashreplace"))


def read_config(folder: Path) -> dict:
    """Read `config.json` and check what it says of the data; `Settings` checks its settings.

    Raises:
        UserError: there is none, or it is damaged or not of this version of this project.
    """
    path = folder / CONFIG
    if path.exists() and not path.is_file():
        raise UserError(f"{folder} holds no run: {path} is not a file")
    try:
        config = json.loads(path.read_bytes())
        data, classes = config["data"], config["data"]["classes"]
        numbers = [data["height"], data["width"], data["max_value"]]
        if not all(type(n) is int and n > 0 for n in numbers) or numbers[-1] > 255:
            raise ValueError(f"height, width and max_value are {numbers}")
        if not classes or len(set(classes)) < len(classes) or not all(name.isprintable() for name in classes):
            raise ValueError("the classes have no names to tell them apart")
        settings = config["members" if "members" in config else "settings"]
        if not all(isinstance(value, str) for value in (data["name"], data["sha256"], *settings)):
            raise TypeError("the data set or a setting has no name")
    except OSError as error:
        raise UserError(f"{folder} holds no run: cannot read {path} ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged or of another version of this program ({type(error).__name__}: {error})"
        ) from error
    return config


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A block that writes to a run.

    Raises:
        UserError: it could not.
    """
    try:
        yield
    except BrokenPipeError:  # of stdout
        raise
    except OSError as error:
        raise UserError(f"cannot write the run to {folder}: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run; the system releases it when this process ends, however it does.

    A process may lock a folder that it has locked already.

    Raises:
        UserError: another process is writing to it, or the folder cannot be written.
    """
    lock = FileLock(folder / ".lock", is_singleton=True)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(f"{folder} is still being written by another process: wait for it, or stop it") from error
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
