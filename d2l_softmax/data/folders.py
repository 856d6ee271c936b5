"""What a folder holds: four IDX files, or images in a folder for each class. Only names are read here, no files."""

import glob
import os
import re
from collections import defaultdict
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
    test: list[tuple[str, int]] | None = None


def find_idx(folder: Path) -> list[list[Path]]:
    """Every set of IDX_FILES in a folder or below it; each file may be in a folder of its own name."""
    places = defaultdict(dict)
    for path in sorted(folder.rglob("*-ubyte*")):
        if (match := _IDX_NAME.fullmatch(path.name)) and path.is_file():
            place = path.parent.parent if _IDX_NAME.fullmatch(path.parent.name) else path.parent
            places[place]["-".join(match.groups())] = path
    return [[found[name] for name in IDX_FILES] for found in places.values() if len(found) == len(IDX_FILES)]


def find_data(folder: Path) -> list[Path] | ClassFolders:
    """Four IDX files in `folder` or below, in the order of IDX_FILES, or images in a folder for each class.

    Raises:
        UserError: there are none or several, a class has no image, or one is in `test/` only.
    """
    if found := find_idx(folder):
        if len(found) > 1:
            raise UserError(f"{folder} has several data sets: name one, {', '.join(str(f[0].parent) for f in found)}")
        return found[0]
    parts, classes = [folder], _folders(folder)
    if set(classes) <= _SPLITS or _folders(folder / "train"):
        parts, classes = [folder / "train", folder / "test"], _folders(folder / "train")
        if unknown := set(_folders(folder / "test")) - set(classes):
            raise UserError(f"{folder / 'test'} has the class {min(unknown)}, but {folder / 'train'} has not")
    samples = [[(path, i) for i, name in enumerate(classes) for path in find_images(part / name)] for part in parts]
    if len(classes) < 2 or [] in samples:
        raise UserError(
            f"there is no data set in {folder}: it should have {', '.join(IDX_FILES)}, gzipped or not, or a folder "
            f"of images for each class, directly or in train/ and test/; it has {contents(folder)}"
        )
    if empty := set(range(len(classes))) - {i for _, i in samples[0]}:
        path = parts[0] / classes[min(empty)]
        raise UserError(f"{path}, the folder of a class, has no images; it has {contents(path)}")
    return ClassFolders(tuple(map(printable, classes)), *samples)


def find_images(folder: Path) -> list[str]:
    """The files in a folder, and below it, whose names end as an image's; sorted, without hidden ones."""
    from PIL import Image

    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    paths = (os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    found = (path for path in paths if os.path.splitext(path)[1].lower() in suffixes)
    return sorted((path for path in found if f"{os.sep}." not in path.removeprefix(str(folder))), key=os.path.split)


def contents(folder: Path) -> str:
    """The names of the first files and folders in a folder."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return (", ".join(names[:8]) or "nothing") + f" and {len(names) - 8} more" * (len(names) > 8)


def printable(name: str) -> str:
    """A name with escapes for what is not UTF-8 in it, which could be neither drawn nor written."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, without hidden ones."""
    names = [os.path.dirname(path) for path in glob.glob("*/", root_dir=folder)]
    return sorted(name for name in names if not name.startswith("__MACOSX"))
