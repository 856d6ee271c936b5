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

TYPES = {
    **{8: "unsigned bytes", 9: "signed bytes", 11: "16-bit integers", 12: "32-bit integers"},
    **{13: "32-bit floats", 14: "64-bit floats"},
}


def read_idx(path: Path, rank: int) -> Tensor:
    """Read an IDX file, gzipped or not, whatever it is named: uint8, with as many dimensions as `rank`.

    Raises:
        UserError: the file cannot be read, is of another kind, or does not hold what its header promises.
    """
    with reading(path):
        content = path.read_bytes()
        while content.startswith(b"\x1f\x8b"):  # some are gzipped twice
            content = gzip.decompress(content)
        zeros, kind, dimensions = struct.unpack_from(">HBB", content)
        if zeros or kind not in TYPES:
            raise UserError(f"{path} is not an IDX file: download or extract it again")
        if (kind, dimensions) != (8, rank):
            raise UserError(
                f"{path} holds {TYPES[kind]}, {dimensions} dimensions, but must hold {TYPES[8]}, {rank} dimensions"
            )
        shape, start = struct.unpack_from(f">{rank}I", content, 4), 4 + 4 * rank
        if 0 in shape:
            raise UserError(f"{path} holds nothing: its header gives the shape {shape}")
        if (size := len(content) - start) != (promised := math.prod(shape)):
            fault = "is truncated" if size < promised else "is too long"
            raise UserError(f"{path} {fault}: its header promises {promised} bytes of elements, and it has {size}")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).reshape(shape)
