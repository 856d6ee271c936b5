"""Batches (X, y) of a data set that stays on the device as bytes."""

import math
import operator
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from d2l_softmax.device import try_gpu

# Images prepared together: so few that they stay in a processor's cache, and in memory that is used again for
# the next block (that of larger ones goes back to the system each time, which takes longer than the work), and of so
# few bytes that large images fit in memory.
BLOCK, BLOCK_BYTES = 512, 1 << 26


def block_size(images: Tensor, dtype: torch.dtype) -> int:
    """How many images, as numbers of `dtype`, are prepared together."""
    return max(1, min(BLOCK, BLOCK_BYTES // (images[0].numel() * dtype.itemsize)))


class BatchIterator:
    """Batches (X, y) of a data set that lies on the device as bytes; nothing is done image by image.

    X is (batch, 1, height, width), bytes divided by `divisor`, and y is (batch,) int64. Every pass yields every image
    exactly once; the last batch is shorter where the sizes do not divide. With a `seed` every pass has a new order,
    and the same seed gives the same orders on every device; without one the order is fixed.

    Args:
        images: uint8 (n, 1, height, width), a tensor or a NumPy array.
        labels: integers (n,), likewise.
        batch_size: images per batch; more than n is one batch of n.
        seed: of the order; None keeps the order of `images`.
        divisor: with 255, X is what torchvision's `ToTensor` returns: 0 to 1.
        device: where the data set is kept and the batches appear; default `try_gpu()`.
        dtype: of X, a floating-point type.

    Raises:
        ValueError: `batch_size` is below 1, the images are not uint8, or the labels are not one integer for each.
    """

    def __init__(
        self,
        images: Tensor | np.ndarray,
        labels: Tensor | np.ndarray,
        batch_size: int,
        *,
        seed: int | None = None,
        divisor: float = 255,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        if not hasattr(batch_size, "__index__") or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        # PyTorch shares no memory with arrays that are read-only or reversed.
        images, labels = (torch.as_tensor(np.array(x) if isinstance(x, np.ndarray) else x) for x in (images, labels))
        if images.dtype != torch.uint8:
            raise ValueError(f"images must be unsigned bytes (uint8), got {images.dtype}")
        if labels.shape != images.shape[:1] or labels.is_floating_point():
            got = f"{labels.dtype} of shape {tuple(labels.shape)} for images of shape {tuple(images.shape)}"
            raise ValueError(f"labels must be one integer for each image, got {got}")
        device = try_gpu() if device is None else device
        self.images = images.to(device)
        self.labels = labels.to(device, torch.int64)
        self.batch_size = min(operator.index(batch_size), len(labels))
        self.generator = None if seed is None else torch.Generator().manual_seed(operator.index(seed))
        # A tensor, because CUDA divides by a plain number as a product with its rounded reciprocal.
        self.divisor = torch.tensor(divisor, dtype=dtype, device=device)

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n, order = len(self.labels), None
        if self.generator is not None:
            order = torch.randperm(n, generator=self.generator).to(self.labels.device)
        # Small batches are prepared several at a time, because each operation has a price of its own.
        block = self.batch_size * max(1, block_size(self.images, self.divisor.dtype) // self.batch_size)
        for start in range(0, n, block):
            if order is None:
                images, y = self.images[start : start + block], self.labels[start : start + block].clone()
            else:
                index = order[start : start + block]
                images, y = self.images.index_select(0, index), self.labels.index_select(0, index)
            X = images.to(self.divisor.dtype).div_(self.divisor)
            yield from zip(X.split(self.batch_size), y.split(self.batch_size), strict=True)
