"""IDX files, the format of MNIST.

A file is a header (two zero bytes, the element type, 8 for unsigned bytes, the rank, and each dimension as a
big-endian 32-bit integer), then the elements.
"""

import gzip
import math
import struct
from pathlib import Path

import torch
from torch import Tensor

from d2l_softmax.errors import UserError, reading


def read_idx(path: Path, rank: int) -> Tensor:
    """Read an IDX file, gzipped if it is named `.gz`: uint8, with as many dimensions as `rank`.

    Raises:
        UserError: the file cannot be read, is of another kind, or does not hold what its header promises.
    """
    with reading(path):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        (magic,), start = struct.unpack_from(">I", content), 4 + 4 * rank
        if magic != (expected := 0x800 + rank):
            kind = "images" if rank == 3 else "labels"
            raise UserError(
                f"{path} has the magic number {magic:#010x}, but an IDX file of {kind} has {expected:#010x}"
            )
        shape = struct.unpack_from(f">{rank}I", content, 4)
        if 0 in shape:
            raise UserError(f"{path} holds nothing: its header gives the shape {shape}")
        if (size := len(content) - start) != (promised := math.prod(shape)):
            fault = "is truncated" if size < promised else "is too long"
            raise UserError(f"{path} {fault}: its header promises {promised} bytes of elements, and it has {size}")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).reshape(shape)
