"""Images of one's own, from PNG and JPEG files."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from d2l_softmax.errors import UserError

MAX_BYTES = 2**27


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
        UserError: the file cannot be read, is damaged, of another kind, or so large that it may be an attack.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"cannot read the image {path}: it is not a file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES:,} bytes: scale the image down first")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Decoding alone does not look at the checksums of a PNG.
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")).verify()
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content), formats=("PNG", "JPEG")))
            if image.mode.startswith("I"):  # 16 bits, which PIL would cut off at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if "A" in image.getbands() or "transparency" in image.info:
                background = Image.new("RGBA", image.size, "white" if invert else "black")
                image = Image.alpha_composite(background, image.convert("RGBA"))
            grey = image.convert("L")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: scale it down first") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not a PNG or JPEG image: convert it to one") from error
    except Exception as error:
        # Whatever the decoders raise for bytes that are not an image.
        raise UserError(f"{path} is damaged ({str(error) or type(error).__name__}): replace it") from error
    # Before the new size, because what training resizes are bytes from 0 to `max_value`, too.
    levels = grey.point(lambda byte: round((255 - byte if invert else byte) * max_value / 255))
    return torch.from_numpy(np.array(levels.resize((width, height), Image.Resampling.BILINEAR))).unsqueeze(0)
