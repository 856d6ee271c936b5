"""IDX files, the format of MNIST: read by torchvision, checked here first so that every fault has a clear message.

A file is a header, two zero bytes, the element type (8: unsigned byte), the rank and each dimension as a big-endian
32-bit integer, then the elements.
"""

import gzip
import math
import struct
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from d2l_softmax.errors import UserError

_UNSIGNED_BYTES = 0x800
_CHUNK = 1 << 20


def read_images(path: Path) -> Tensor:
    """Read an IDX file of images, gzipped if it is named `.gz`: uint8 (n, height, width).

    Raises:
        UserError: the file cannot be read, is not what its name says, or does not hold what its header promises.
    """
    from torchvision.datasets.mnist import read_image_file

    return _read(path, 3, read_image_file)


def read_labels(path: Path) -> Tensor:
    """Read an IDX file of labels, gzipped if it is named `.gz`: int64 (n,).

    Raises:
        UserError: as `read_images`.
    """
    from torchvision.datasets.mnist import read_label_file

    return _read(path, 1, read_label_file)


def _read(path: Path, rank: int, reader) -> Tensor:
    try:
        if path.suffix != ".gz":
            with path.open("rb") as file:
                promised, size = _promised_size(file, path, rank), path.stat().st_size
            _compare(path, promised, size)
            return reader(path)
        # The folder of the data may be read-only, so the extracted copy lies elsewhere, and only for a moment.
        with tempfile.TemporaryDirectory(prefix="d2l_softmax-") as folder:
            plain = Path(folder) / path.stem
            _extract(path, plain, rank)
            return reader(plain)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise UserError(f"{path} holds more than fits into memory") from error


def _extract(path: Path, plain: Path, rank: int) -> None:
    """Decompress `path`, stopping as soon as there is more than its header promises."""
    try:
        with gzip.open(path) as source, plain.open("wb") as target:
            promised = _promised_size(source, path, rank)
            source.seek(0)
            size = 0
            while size <= promised and (chunk := source.read(_CHUNK)):
                size += target.write(chunk)
    except gzip.BadGzipFile as error:
        raise UserError(f"{path} is not a gzip file or is damaged ({error}): replace it") from error
    except EOFError as error:
        raise UserError(f"{path} is truncated: the gzip stream ends too early; replace it") from error
    except zlib.error as error:
        raise UserError(f"{path} is damaged ({error}): replace it") from error
    _compare(path, promised, size)


def _promised_size(file: BinaryIO, path: Path, rank: int) -> int:
    """Return the size in bytes, header included, that the header of a file of unsigned bytes promises."""
    header = file.read(4 + 4 * rank)
    magic = int.from_bytes(header[:4], "big")
    if len(header) >= 4 and magic != _UNSIGNED_BYTES + rank:
        raise UserError(
            f"{path} has the magic number {magic:#010x}, but an IDX file of {'images' if rank == 3 else 'labels'} "
            f"starts with {_UNSIGNED_BYTES + rank:#010x}: it is another kind of file"
        )
    if len(header) < 4 + 4 * rank:
        raise UserError(f"{path} is truncated: {len(header)} bytes do not hold the header of an IDX file")
    shape = struct.unpack(f">{rank}I", header[4:])
    if 0 in shape:
        raise UserError(f"{path} holds nothing: its header gives the shape {shape}")
    return len(header) + math.prod(shape)


def _compare(path: Path, promised: int, size: int) -> None:
    if size < promised:
        raise UserError(f"{path} is truncated: its header promises {promised} bytes, it holds {size}")
    if size > promised:
        raise UserError(f"{path} is too long: its header promises {promised} bytes and more follow")
