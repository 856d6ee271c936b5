"""The published data sets: where they are found and what their classes are called."""

import contextlib
import difflib
import io
import os
import shutil
import socket
import ssl
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

from filelock import FileLock

from d2l_softmax.errors import UserError

# Seconds without an answer or any data after which a mirror is given up.
TIMEOUT = 10.0


class Source(NamedTuple):
    """A data set that torchvision can download.

    folder: the name of its folder below the folder of all data, and of its class in `torchvision.datasets`.
    mirror: an encrypted mirror, tried before those of torchvision.
    classes: one name per class. torchvision has them too, but importing it takes as long as training for ten epochs.
    """

    folder: str
    mirror: str
    classes: tuple[str, ...]


SOURCES = {
    "fashion-mnist": Source(
        "FashionMNIST",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "mnist": Source(
        "MNIST",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        (
            *("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four"),
            *("5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"),
        ),
    ),
    "kmnist": Source(
        "KMNIST",
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
}
DATASETS = ("auto", *SOURCES, "digits")


class DataUnavailableError(UserError):
    """The data set is neither on this machine nor available from the network."""


def find_four(folder: Path) -> dict[str, Path | None]:
    """The four files of a data set, gzipped or extracted, by their names without `.gz`; None where there is none."""
    names = [f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    candidates = {name: (folder / f"{name}.gz", folder / name) for name in names}
    return {name: next(filter(Path.is_file, paths), None) for name, paths in candidates.items()}


def check_dataset(name: str, data_dir: str | Path = "data") -> None:
    """Refuse, without reading any data, a data set that cannot be found or downloaded.

    Raises:
        UserError: there is none of this name, its folder lacks a file, or `data_dir` is not a folder.
    """
    if name in ("auto", *SOURCES):
        nearest = next(path for path in (Path(data_dir), *Path(data_dir).absolute().parents) if os.path.exists(path))
        if not nearest.is_dir():
            raise UserError(f"the data cannot be in {data_dir}: {nearest} is not a folder")
    elif name not in DATASETS:
        if not os.path.isdir(name):
            near = difflib.get_close_matches(name, DATASETS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"unknown data set '{name}': use {', '.join(DATASETS)}, or a folder that holds four IDX files{hint}"
            )
        for missing in (stem for stem, path in find_four(Path(name)).items() if path is None):
            raise UserError(f"{name} holds no file {missing} or {missing}.gz")


def fetch(name: str, data_dir: Path) -> None:
    """Download a data set into `data_dir`, complete and with the right checksums or not at all.

    Its files go to a hidden folder first. What a killed download leaves there is used and removed by the next one.

    Raises:
        DataUnavailableError: no mirror delivered every file.
        UserError: `data_dir` cannot be written to.
    """
    source = SOURCES[name]
    partial, raw = data_dir / f".{name}.partial", data_dir / source.folder / "raw"
    try:
        with _alone_in(partial):
            if None not in find_four(raw).values():
                return  # another process has downloaded it meanwhile
            _download(source, partial)
            raw.mkdir(parents=True, exist_ok=True)
            for archive in (partial / source.folder / "raw").glob("*.gz"):
                os.replace(archive, raw / archive.name)
    except DataUnavailableError as error:
        raise DataUnavailableError(
            f"{name} is not in {raw} and could not be downloaded ({error}); name a data directory that has it"
        ) from error
    except OSError as error:
        raise UserError(
            f"cannot write {name} to {raw}: {error.strerror or error}; name another data directory"
        ) from error


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make a folder for one process at a time; then remove it, and the parents made for it that are empty."""
    while True:
        made = [parent for parent in folder.parents if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the process that was waited for has removed the folder
            lock = FileLock(folder / ".lock").acquire()
            break
    with lock:
        try:
            yield
        finally:
            # While the lock is held, so that no other process is using the folder.
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made:
                with contextlib.suppress(OSError):  # it holds what was downloaded
                    parent.rmdir()


def _download(source: Source, folder: Path) -> None:
    """Let torchvision download and check every file, from the first mirror that delivers."""
    import torchvision.datasets

    published = getattr(torchvision.datasets, source.folder)
    reasons, timeout = [], socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        for mirror in dict.fromkeys([source.mirror, *published.mirrors]):
            print(f"downloading from {mirror}", file=sys.stderr)
            from_mirror = type(source.folder, (published,), {"mirrors": [mirror]})
            # Its messages and, where there is no terminal, its progress bar are not for the user.
            silence = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
            try:
                with silence, contextlib.redirect_stdout(io.StringIO()):
                    from_mirror(folder, download=True)
                return
            except (RuntimeError, URLError, TimeoutError, ConnectionError, ssl.SSLError, HTTPException) as error:
                # torchvision puts the reason behind the name of the mirror.
                reason = " ".join(str(error).rpartition("got:\n")[2].split()) or type(error).__name__
                reasons.append(f"{mirror}: {reason}")
    finally:
        socket.setdefaulttimeout(timeout)
    raise DataUnavailableError("; ".join(reasons))
