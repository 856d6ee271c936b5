"""Made-up IDX files for the tests, written from the format's description."""

import gzip
import struct
from collections import Counter
from pathlib import Path

import numpy as np

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
STEMS = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


def idx_bytes(array: np.ndarray, magic: int | None = None) -> bytes:
    """The IDX file of a uint8 array; `magic` makes its header say that it is of another kind."""
    return (
        struct.pack(f">{1 + array.ndim}I", magic or 0x800 + array.ndim, *array.shape) + array.astype("u1").tobytes()
    )


def write_idx(path: Path, content: np.ndarray | bytes) -> Path:
    """Write an IDX file, gzipped if it is named `.gz`, and return its path."""
    data = content if isinstance(content, bytes) else idx_bytes(content)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def make_folder(folder: Path, n_train: int, n_test: int, classes: int, side: int, gz=True, seed=0) -> dict:
    """Write the four files of a data set of noise, every class in turn, and return their arrays by name."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for images, labels, n in ((TRAIN_IMAGES, TRAIN_LABELS, n_train), (TEST_IMAGES, TEST_LABELS, n_test)):
        arrays[images] = random.integers(0, 256, (n, side, side), dtype=np.uint8)
        arrays[labels] = (np.arange(n) % classes).astype(np.uint8)
    for stem, array in arrays.items():
        write_idx(folder / (f"{stem}.gz" if gz else stem), array)
    return arrays


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """When each file and folder below `folder` was last written, and what the files hold."""
    paths = [folder, *(path for path in folder.rglob("*") if path.name != ".lock")]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in paths}


def rows(images, labels) -> Counter:
    """How often there is each image with its label."""
    return Counter((np.asarray(image).tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
