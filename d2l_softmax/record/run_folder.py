"""A run's own folder: made once, never shared, locked while it is written, with its settings in `config.json`."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from d2l_softmax.errors import UserError, reading
from d2l_softmax.record.files import replace

CONFIG, LOCK = "config.json", ".lock"


def create_run_folder(logdir: str | Path, label: str, name: str | None = None) -> Path:
    """Make a new folder `<logdir>/<name>` or, without a name, `<logdir>/<label>-<date>-<time>`.

    A folder made in the same second by another run gets a number at its end, so no two runs ever share one.

    Raises:
        UserError: `name` already holds something.
        OSError: the folder cannot be made.
    """
    if name is not None:
        check_run_name(logdir, name)
        (Path(logdir) / name).mkdir(parents=True, exist_ok=True)
        return Path(logdir) / name
    stem = re.sub(r"[^\w.-]+", "_", f"{label}-{datetime.now():%Y%m%d-%H%M%S}")
    for number in itertools.count(1):
        folder = Path(logdir) / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
        else:
            return folder
    raise AssertionError("unreachable")


def check_run_name(logdir: str | Path, name: str) -> None:
    """Refuse a name whose folder already holds something.

    Raises:
        UserError: it does.
    """
    folder = Path(logdir) / name
    if folder.is_dir() and {path.name for path in folder.iterdir()} - {LOCK}:
        raise UserError(f"{folder} already holds a run: choose another --run-name, or remove it")


def write_config(folder: Path, config: dict) -> None:
    """Write `config.json`. What of a path is not UTF-8 is escaped, as JSON has it."""
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    replace(folder / CONFIG, text.encode(errors="backslashreplace"))


def read_config(folder: Path) -> dict:
    """Read `config.json`.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"{folder} holds no run: it has no {CONFIG}")
    with reading(path):
        config = json.loads(path.read_bytes())
        needed = {"command", "data"} if "members" in config else {"settings", "data"}
        of_data = {"name", "sha256", "height", "width", "max_value", "classes"}
        if lacking := (needed - config.keys()) or (of_data - config["data"].keys()):
            raise ValueError(f"it has no {', '.join(sorted(lacking))}")
    return config


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run; the system releases it when this process ends, however it does.

    Raises:
        UserError: another process is writing to it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UserError(f"{folder} is still being written by another process: wait for it, or stop it") from error
    try:
        yield
    finally:
        lock.release()
