"""Batches, compared with those that PyTorch's loader makes of torchvision's tensors."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from d2l_softmax.data.batches import BatchIterator, block_size

cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=cuda)])

# Images of one row by two columns that spell out their number, which is their label.
LABELS = torch.arange(2500)
IMAGES = torch.stack([LABELS // 256, LABELS % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
PAIRS = [(ToTensor()(image.numpy().transpose(1, 2, 0)), number) for number, image in enumerate(IMAGES)]


def numbered(n: int, batch_size: int, seed: int | None, device: str = "cpu") -> BatchIterator:
    return BatchIterator(IMAGES[:n], LABELS[:n], batch_size, seed=seed, device=torch.device(device))


def order(made) -> list[int]:
    return torch.cat([y for _, y in made]).tolist()


@devices
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("divisor", [255, 16])
def test_pixels_are_quotients_exact_to_the_last_bit(device, dtype, divisor):
    images, options = torch.arange(256).to(torch.uint8).view(1, 1, 16, 16), {"dtype": getattr(torch, dtype)}
    ((X, _),) = BatchIterator(images, LABELS[:1], 4, divisor=divisor, device=torch.device(device), **options)
    assert X.device.type == device
    assert torch.equal(X.cpu(), torch.from_numpy(images.numpy().astype(dtype) / np.array(divisor, dtype)))


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("n", [1, 512, 513, 2500])
@pytest.mark.parametrize("batch_size", [1, 7, 500, 512, 1500, 10_000])
def test_every_pass_gives_every_image_once_in_the_batches_of_pytorchs_loader(seed, n, batch_size):
    batches = numbered(n, batch_size, seed)
    for _ in range(2):
        next(iter(batches))  # a pass that is broken off
        made = list(batches)
        assert (order(made) if seed is None else sorted(order(made))) == list(range(n))
        expected = DataLoader(PAIRS, batch_size, sampler=order(made))
        assert len(batches) == len(expected)
        for (X, y), expected_tensors in zip(made, expected, strict=True):
            torch.testing.assert_close([X, y], expected_tensors, rtol=0, atol=0)
            X.zero_()  # batches may be changed without a trace in the next pass
            y.zero_()


@pytest.mark.parametrize(
    ("side", "dtype", "most"), [(28, "float32", 512), (1000, "float32", 16), (6000, "float64", 1)]
)
def test_large_images_are_not_all_prepared_at_once(side, dtype, most):
    dtype = getattr(torch, dtype)
    images = torch.zeros(1, dtype=torch.uint8).expand(2000, 1, side, side)
    assert block_size(images, dtype) == most
    batches = BatchIterator(images, LABELS[:2000], 1, device=torch.device("cpu"), dtype=dtype)
    X, _ = next(iter(batches))
    assert X.untyped_storage().nbytes() == most * side * side * dtype.itemsize


@devices
@pytest.mark.parametrize("batch_size", [1, 300, 1024, 4000])
def test_a_seed_gives_a_new_order_every_pass_and_the_same_orders_again(device, batch_size):
    batches, again = numbered(2000, 256, 1), numbered(2000, batch_size, 1, device)
    passes = [order(batches) for _ in range(3)]
    correlations = np.corrcoef([range(2000), *passes, order(numbered(2000, 256, 2))])
    assert np.abs(correlations - np.eye(5)).max() < 0.1  # their standard deviation is 0.022
    state = torch.manual_seed(99).get_state()
    assert [order(again) for _ in range(3)] == passes
    assert torch.equal(torch.get_rng_state(), state)


def test_batch_sizes_below_1_and_images_that_are_not_bytes_are_refused():
    for images, batch_size in ((IMAGES, 0), (IMAGES, -1), (IMAGES.float(), 5)):
        with pytest.raises(ValueError, match="must be"):
            BatchIterator(images, LABELS, batch_size)
