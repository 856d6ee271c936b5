"""IDX files, the format of MNIST: checked so that every fault has a clear message, and in memory only once.

A file is a header, two zero bytes, the element type (8: unsigned byte), the rank and each dimension as a big-endian
32-bit integer, then the elements. An extracted file is mapped: its pages come into memory when they are used and
leave it when others need the room, so it may be larger than the memory. A gzipped one is extracted into memory.
"""

import gzip
import math
import mmap
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from d2l_softmax.device import physical_memory
from d2l_softmax.errors import UserError

_UNSIGNED_BYTES = 0x800
_CHUNK = 1 << 20


def read_images(path: Path) -> Tensor:
    """Read an IDX file of images, gzipped if it is named `.gz`: uint8 (n, height, width).

    Raises:
        UserError: the file cannot be read, is not what its name says, or does not hold what its header promises.
    """
    return _read(path, 3)


def read_labels(path: Path) -> Tensor:
    """Read an IDX file of labels, gzipped if it is named `.gz`: int64 (n,).

    Raises:
        UserError: as `read_images`.
    """
    return _read(path, 1).to(torch.int64)


def _read(path: Path, rank: int) -> Tensor:
    try:
        array = _extracted(path, rank) if path.suffix == ".gz" else _mapped(path, rank)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    with warnings.catch_warnings():
        # Of a read-only mapping, that PyTorch has no tensors that refuse to be written to.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


def _mapped(path: Path, rank: int) -> np.ndarray:
    with path.open("rb") as file:
        shape = _shape(file, path, rank)
        promised = math.prod(shape)
        _compare(path, promised, path.stat().st_size - file.tell())
        start = file.tell()
        if promised < physical_memory() / 2:
            # Copy-on-write: who changes the images changes their own.
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        else:
            # Not so here, because memory is set aside for the copies: changing an image would end the process. And
            # reading ahead would fetch, for every image, dozens that are not wanted and that memory cannot keep.
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_RANDOM"):
                pages.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(pages, np.uint8, promised, start).reshape(shape)


def _extracted(path: Path, rank: int) -> np.ndarray:
    """Decompress `path`, stopping as soon as there is more than its header promises."""
    try:
        with gzip.open(path) as file:
            shape = _shape(file, path, rank)
            promised, size = math.prod(shape), 0
            if promised > physical_memory() and path.stat().st_size * 1032 >= promised:  # deflate's best is 1032 to 1
                raise UserError(f"{path} holds more than fits into memory: extract it, and it will be mapped")
            elements = bytearray()
            while size <= promised and (chunk := file.read(_CHUNK)):
                elements += chunk
                size += len(chunk)
    except gzip.BadGzipFile as error:
        raise UserError(f"{path} is not a gzip file or is damaged ({error}): replace it") from error
    except EOFError as error:
        raise UserError(f"{path} is truncated: the gzip stream ends too early; replace it") from error
    except zlib.error as error:
        raise UserError(f"{path} is damaged ({error}): replace it") from error
    except MemoryError as error:
        raise UserError(f"{path} holds more than fits into memory: extract it, and it will be mapped") from error
    _compare(path, promised, size)
    return np.frombuffer(elements, np.uint8).reshape(shape)


def _shape(file: BinaryIO, path: Path, rank: int) -> tuple[int, ...]:
    """Read the header of a file of unsigned bytes."""
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
    return shape


def _compare(path: Path, promised: int, size: int) -> None:
    if size < promised:
        raise UserError(f"{path} is truncated: its header promises {promised} bytes of elements, it holds {size}")
    if size > promised:
        raise UserError(f"{path} is too long: its header promises {promised} bytes of elements, and more follow")
