"""The files of data sets: IDX files, the format of MNIST, and images of any format that Pillow reads."""

import gzip
import struct
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from d2l_softmax.errors import UserError, reading

IDX_TYPES = {
    **{8: "unsigned bytes", 9: "signed bytes", 11: "16-bit integers", 12: "32-bit integers"},
    **{13: "32-bit floats", 14: "64-bit floats"},
}


def read_idx(path: Path, rank: int) -> Tensor:
    """Read an IDX file, gzipped or not, whatever it is named: uint8, with as many dimensions as `rank`.

    A file is a header (two zero bytes, the element type, 8 for unsigned bytes, the rank, and each dimension as a
    big-endian 32-bit integer), then the elements.

    Raises:
        UserError: the file cannot be read, is of another kind, or does not hold what its header promises.
    """
    with reading(path):
        content = path.read_bytes()
        while content.startswith(b"\x1f\x8b"):  # some are gzipped twice
            content = gzip.decompress(content)
        zeros, kind, dimensions = struct.unpack_from(">HBB", content)
        if zeros or kind not in IDX_TYPES:
            raise UserError(f"{path} is not an IDX file: download or extract it again")
        if (kind, dimensions) != (8, rank):
            held = f"{IDX_TYPES[kind]}, {dimensions} dimensions"
            raise UserError(f"{path} holds {held}, but must hold {IDX_TYPES[8]}, {rank} dimensions")
        shape = struct.unpack_from(f">{rank}I", content, 4)
        return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=4 + 4 * rank).reshape(shape)


def read_image(
    path: str | PathLike, size: tuple[int, int] | None = None, max_value: int = 255, invert: bool = False
) -> Tensor:
    """Read an image as the training images were made: uint8 (1, height, width), from 0 to `max_value`.

    Colours become grey (ITU-R 601) and 16 bits their upper 8, unless all are below 256; a photograph is turned
    upright as its EXIF data say. What is transparent becomes black or, where that would hide the rest, white.
    The whole image is scaled to the new size, as `torchvision.transforms.Resize` does it, whatever its proportions.

    Args:
        path: the file.
        size: height and width in pixels; None leaves the size as it is.
        max_value: the byte that stands for an intensity of 1 in the training images.
        invert: for dark on light: exchange black and white. What is transparent becomes black all the same.

    Raises:
        UserError: the file cannot be read, is damaged or of another kind.
    """
    with reading(path), Image.open(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode[0] in "IF":  # numbers that Pillow would cut off at 255
            values = np.asarray(image)
            if image.mode == "F" or not 0 <= values.min() <= values.max() < 2**16:
                raise UserError(f"{path} holds numbers that are not 8 or 16 bits: save it with 8")
            image = Image.fromarray((values if values.max() < 256 else values >> 8).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            image = image.convert("RGBA")
            first, other = (
                Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("L")
                for colour in (("white", "black") if invert else ("black", "white"))
            )
            image = other if np.ptp(first) < np.ptp(other) // 4 else first
        grey = image.convert("L")
    if invert:
        grey = ImageOps.invert(grey)
    if max_value != 255:  # before the new size, because what training resizes are bytes up to `max_value`, too
        grey = grey.point(lambda byte: round(byte * max_value / 255))
    if size is not None:
        grey = grey.resize(size[::-1], Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(grey)).unsqueeze(0)


def outermost(images: Tensor) -> Tensor:
    """The outermost pixels, (n, pixels), of images (n, 1, height, width)."""
    is_outermost = torch.ones(images.shape[2:], dtype=torch.bool)
    is_outermost[1:-1, 1:-1] = False
    return images[:, 0, is_outermost]
