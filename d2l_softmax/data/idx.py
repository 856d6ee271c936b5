"""IDX files, the format of MNIST, checked so that every fault has a clear message.

A file is a header (two zero bytes, the element type, 8 for unsigned bytes, the rank, and each dimension as a
big-endian 32-bit integer), then the elements. An extracted file is mapped, so that its pages are read when they are
used; a gzipped one is extracted into memory.
"""

import gzip
import math
import mmap
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from d2l_softmax.errors import UserError

_CHUNK = 1 << 20


def read_idx(path: Path, rank: int) -> Tensor:
    """Read an IDX file, gzipped if it is named `.gz`: uint8, with as many dimensions as `rank`.

    Raises:
        UserError: the file cannot be read, is of another kind, or does not hold what its header promises.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _read_header(file, path, rank)
            promised = math.prod(shape)
            if path.suffix == ".gz":
                # Stops as soon as there is more than the header promises.
                elements, start = bytearray(), 0
                while len(elements) <= promised and (chunk := file.read(_CHUNK)):
                    elements += chunk
                size = len(elements)
            else:
                # Copy-on-write: changing an image changes no file.
                start, size = file.tell(), path.stat().st_size - file.tell()
                elements = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except EOFError as error:
        raise UserError(f"{path} is truncated: the gzip stream ends too early; replace it") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is not a gzip file or is damaged ({error}): replace it") from error
    except (OSError, MemoryError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'too little memory'}") from error
    if size != promised:
        fault = "is truncated" if size < promised else "is too long"
        raise UserError(f"{path} {fault}: its header promises {promised} bytes of elements, which it does not match")
    return torch.from_numpy(np.frombuffer(elements, np.uint8, promised, start).reshape(shape))


def _read_header(file: BinaryIO, path: Path, rank: int) -> tuple[int, ...]:
    header = file.read(4 + 4 * rank)
    expected = 0x800 + rank
    if len(header) >= 4 and (magic := int.from_bytes(header[:4], "big")) != expected:
        kind = "images" if rank == 3 else "labels"
        raise UserError(f"{path} has the magic number {magic:#010x}, but an IDX file of {kind} has {expected:#010x}")
    if len(header) < 4 + 4 * rank:
        raise UserError(f"{path} is truncated: {len(header)} bytes do not hold the header of an IDX file")
    shape = struct.unpack(f">{rank}I", header[4:])
    if 0 in shape:
        raise UserError(f"{path} holds nothing: its header gives the shape {shape}")
    return shape
