"""Data sets by name: where their files are, and of the published ones the mirrors and the classes."""

import difflib
import io
import os
import shutil
import socket
import sys
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from d2l_softmax.data.folders import ClassFolders, contents, find_data, find_idx
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


NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SOURCES = {
    "fashion-mnist": Source(
        "FashionMNIST",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "mnist": Source(
        "MNIST",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        tuple(f"{i} - {word}" for i, word in enumerate(NUMERALS)),
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


def find_own(name: str) -> list[Path] | ClassFolders:
    """What a folder of one's own holds, as `find_data` says it.

    Raises:
        UserError: there is no such folder, or no data set in it.
    """
    folder = os.path.expanduser(name)
    if not os.path.isdir(folder):
        hint = "".join(f"; did you mean {near}?" for near in difflib.get_close_matches(name.lower(), DATASETS, 1))
        raise UserError(
            f"no data set and no folder {name}: use {', '.join(DATASETS)}, or a folder that has a folder of images "
            f"for each class or four IDX files; one that has moved since a run is named with --data-dir{hint}"
        )
    return find_data(Path(folder).resolve())


def find_published(name: str, data_dir: Path) -> list[Path]:
    """The four files of a published data set; empty if one is missing.

    They are in torchvision's folder below `data_dir`, or `data_dir` is that folder or the one above the files.
    """
    own = SOURCES[name].folder
    folders = [data_dir / own] + [data_dir] * (own in data_dir.absolute().parts[-2:])
    return next((found[0] for found in map(find_idx, folders) if found), [])


def find_or_download(name: str, data_dir: Path) -> list[Path]:
    """The four files of a published data set, in the order of IDX_FILES, downloaded first where one is missing.

    Of several processes one downloads, and the others wait for it.

    Raises:
        DataUnavailableError: no mirror delivered every file.
        OSError: `data_dir` cannot be written to.
    """
    if paths := find_published(name, data_dir):
        return paths
    data_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(data_dir / f".{name}.lock"):
        if not find_published(name, data_dir):  # no other process has downloaded them meanwhile
            _download(name, data_dir)
    return find_published(name, data_dir)


def _download(name: str, data_dir: Path) -> None:
    """Let torchvision download and check every file, from the first mirror that delivers all of them."""
    import torchvision.datasets

    source, partial = SOURCES[name], data_dir / f".{name}.partial"
    raw = data_dir / source.folder / "raw"
    published, reasons, timeout = getattr(torchvision.datasets, source.folder), [], socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        for mirror in dict.fromkeys([source.mirror, *published.mirrors]):
            print(f"downloading from {mirror}", file=sys.stderr)
            from_mirror = type(source.folder, (published,), {"mirrors": [mirror]})
            # Its messages and, where there is no terminal, its progress bar are not for the user.
            silence = nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())
            try:
                with silence, redirect_stdout(io.StringIO()):
                    from_mirror(partial, download=True)
            except (RuntimeError, OSError, HTTPException) as error:
                # torchvision puts the reason behind the name of the mirror.
                reason = " ".join(str(error).rpartition("got:\n")[2].split()) or type(error).__name__
                reasons.append(f"{mirror}: {reason}")
            else:
                raw.mkdir(parents=True, exist_ok=True)
                for archive in (partial / source.folder / "raw").glob("*.gz"):
                    os.replace(archive, raw / archive.name)
                return
    finally:
        socket.setdefaulttimeout(timeout)
        shutil.rmtree(partial, ignore_errors=True)
    raise DataUnavailableError(
        f"{name} is not in {raw}, which has {contents(raw)}, and could not be downloaded ({'; '.join(reasons)}); "
        "name a data directory that has it, with --data-dir or in Python data_dir="
    )
