"""What a folder holds: four IDX files, or images in a folder for each class. Only names are read here, no files."""

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from d2l_softmax.errors import UserError

IDX_FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
# They are also published with a dot for the second hyphen.
_IDX_NAME = re.compile(r"((?:train|t10k)-(?:images|labels))[-.](idx[13]-ubyte)(?:\.gz)?")
_SPLITS = {"train", "test", "val", "valid", "validation"}


class ClassFolders(NamedTuple):
    """Images with the numbers of their classes; `test` is None where a part of `train` is to be held out."""

    classes: tuple[str, ...]
    train: list[tuple[str, int]]
    test: list[tuple[str, int]] | None


def find_four(folder: Path) -> list[Path]:
    """The files of IDX_FILES in a folder, or each in a folder of its own name; an empty list where one is missing."""
    found = {}
    for name in sorted(filter(_IDX_NAME.fullmatch, _names(folder))):
        for path in (folder / name, *(folder / name / inner for inner in _names(folder / name))):
            if (match := _IDX_NAME.fullmatch(path.name)) and path.is_file():
                found["-".join(match.groups())] = path
    return [found[name] for name in IDX_FILES] if len(found) == len(IDX_FILES) else []


def find_own(folder: Path) -> list[Path] | ClassFolders:
    """One's own data: four IDX files in `folder` or below, or images in a folder for each class.

    Raises:
        UserError: there are none or several, a class has no image, or one is in `test/` only.
    """
    parents = sorted({path.parent for path in folder.rglob("train-images*")})
    if found := [four for four in map(find_four, parents) if four]:
        if len(found) > 1:
            raise UserError(f"{folder} has several data sets: name one, {', '.join(str(f[0].parent) for f in found)}")
        return found[0]
    train, test, classes = folder, None, [path.name for path in _folders(folder)]
    if set(classes) <= _SPLITS or _folders(folder / "train"):
        train, test = folder / "train", folder / "test"
        classes = [path.name for path in _folders(train)]
        if unknown := [path.name for path in _folders(test) if path.name not in classes]:
            raise UserError(f"{test} has the class {unknown[0]}, but {train} has not")
    samples = [
        None if part is None else [(path, i) for i, name in enumerate(classes) for path in find_images(part / name)]
        for part in (train, test)
    ]
    if len(classes) < 2 or [] in samples:
        raise UserError(
            f"there is no data set in {folder}: it should have {', '.join(IDX_FILES)}, gzipped or not, or a folder "
            f"of images for each class, directly or in train/ and test/; it has {contents(folder)}"
        )
    if empty := set(range(len(classes))) - {i for _, i in samples[0]}:
        path = train / classes[min(empty)]
        raise UserError(f"{path}, the folder of a class, has no images; it has {contents(path)}")
    return ClassFolders(tuple(map(printable, classes)), *samples)


def find_images(folder: Path) -> Iterator[str]:
    """The files in a folder, and below it, whose names end as an image's; sorted, without hidden ones."""
    from PIL import Image

    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(filter(_is_visible, folders))
        for name in sorted(filter(_is_visible, files)):
            if os.path.splitext(name)[1].lower() in suffixes:
                yield os.path.join(parent, name)


def contents(folder: Path) -> str:
    """The names of the first files and folders in a folder."""
    names = sorted(_names(folder))
    return (", ".join(names[:8]) or "nothing") + f" and {len(names) - 8} more" * (len(names) > 8)


def printable(name: str) -> str:
    """A name with escapes for what is not UTF-8 in it, which could be neither drawn nor written."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) if folder.is_dir() else nullcontext(()) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and _is_visible(entry.name))


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))
