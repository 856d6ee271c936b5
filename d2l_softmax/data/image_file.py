"""Images of one's own, from PNG and JPEG files."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from d2l_softmax.errors import reading


def read_image(path: Path, height: int, width: int, max_value: int = 255, invert: bool = False) -> Tensor:
    """Read a PNG or JPEG file as the training images were made: uint8 (1, height, width), from 0 to `max_value`.

    Colours become grey (ITU-R 601) and 16 bits their upper 8; a photograph is turned upright as its EXIF data say.
    The whole image is scaled to the new size, as `torchvision.transforms.Resize` does it, whatever its proportions.
    What is transparent becomes black, the background of the training images.

    Args:
        path: the file.
        height, width: in pixels.
        max_value: the byte that stands for an intensity of 1 in the training images.
        invert: for dark on light: exchange black and white.

    Raises:
        UserError: the file cannot be read, is damaged or of another kind.
    """
    with reading(path):
        # Decoding alone does not look at the checksums of a PNG.
        Image.open(path, formats=("PNG", "JPEG")).verify()
        image = ImageOps.exif_transpose(Image.open(path, formats=("PNG", "JPEG")))
        if image.mode.startswith("I"):  # 16 bits, which PIL would cut off at 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            background = Image.new("RGBA", image.size, "white" if invert else "black")
            image = Image.alpha_composite(background, image.convert("RGBA"))
        grey = image.convert("L")
    # Before the new size, because what training resizes are bytes from 0 to `max_value`, too.
    levels = grey.point(lambda byte: round((255 - byte if invert else byte) * max_value / 255))
    return torch.from_numpy(np.array(levels.resize((width, height), Image.Resampling.BILINEAR))).unsqueeze(0)
