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
N = 2500
LABELS = torch.arange(N)
IMAGES = torch.stack([LABELS // 256, LABELS % 256], 1).to(torch.uint8).view(-1, 1, 1, 2)
PIXELS = torch.stack([ToTensor()(image.numpy().transpose(1, 2, 0)) for image in IMAGES])
PAIRS = list(zip(PIXELS, range(N), strict=True))


def numbered(n: int, batch_size: int, seed: int | None, device: str = "cpu") -> BatchIterator:
    return BatchIterator(IMAGES[:n], LABELS[:n], batch_size, seed=seed, device=torch.device(device))


def order(made) -> list[int]:
    return torch.cat([y for _, y in made]).tolist()


@devices
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("divisor", [255, 16])
def test_pixels_are_quotients_exact_to_the_last_bit(device, dtype, divisor):
    images, place = torch.arange(256).to(torch.uint8).view(1, 1, 16, 16), torch.device(device)
    ((X, _),) = BatchIterator(images, LABELS[:1], 4, divisor=divisor, device=place, dtype=getattr(torch, dtype))
    assert X.device.type == device
    assert torch.equal(X.cpu(), torch.from_numpy(images.numpy().astype(dtype) / np.array(divisor, dtype)))


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (513, 1), (513, 7), (N, 512), (513, 600), (N, 10_000)])
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


@pytest.mark.parametrize(("side", "most"), [(28, 512), (1000, 16), (5000, 1)])
def test_large_images_are_not_all_prepared_at_once(side, most):
    images = torch.zeros(1, dtype=torch.uint8).expand(N, 1, side, side)
    assert block_size(images, torch.float32) == most
    X, _ = next(iter(BatchIterator(images, LABELS, 1, device=torch.device("cpu"))))
    assert X.untyped_storage().nbytes() == most * side * side * 4


@devices
@pytest.mark.parametrize("batch_size", [1, 300, 4000])
def test_a_seed_gives_a_new_order_every_pass_and_the_same_orders_again(device, batch_size):
    batches, again = numbered(N, 256, 1), numbered(N, batch_size, 1, device)
    passes = [order(batches) for _ in range(3)]
    correlations = np.corrcoef([range(N), *passes, order(numbered(N, 256, 2))])
    assert np.abs(correlations - np.eye(5)).max() < 0.1  # their standard deviation is 0.02
    state = torch.manual_seed(99).get_state()
    assert [order(again) for _ in range(3)] == passes
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_numpy_arrays_and_labels_of_any_integer_type(kind):
    numbers = np.arange(100)
    arrays = IMAGES[:100].numpy()[::-1], numbers.astype(kind)[::-1]
    ((X, y),) = BatchIterator(*arrays, np.int64(100), seed=np.int64(1), device=torch.device("cpu"))
    assert y.dtype == torch.int64
    assert torch.equal(X, PIXELS[y])
    assert np.array_equal(y.sort().values, numbers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be .* at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number .*, got 2.5"),
        ({"images": IMAGES.numpy().astype(int)}, "images must be unsigned bytes .*, got torch.int64"),
        ({"labels": LABELS[1:]}, rf"got torch.int64 of shape \({N - 1},\) for images of shape \({N}, 1, 1, 2\)"),
        ({"labels": LABELS.float()}, "labels must be one integer for each image, got torch.float32"),
    ],
)
def test_what_cannot_be_made_batches_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        BatchIterator(**({"images": IMAGES, "labels": LABELS, "batch_size": 5} | changes))
