"""Named data sets in, batches already on the device out."""

import hashlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from d2l_softmax.catalogue import SOURCES
from d2l_softmax.device import physical_memory, try_gpu
from d2l_softmax.download import DownloadError, download
from d2l_softmax.errors import UserError
from d2l_softmax.idx import read_images, read_labels

DATASETS = ("auto", *SOURCES, "digits")

# Images that are prepared together: few enough to stay in a processor's cache until they are used.
BLOCK = 1024

_SPLITS = ("train", "t10k")


class DataUnavailableError(UserError):
    """The data set is neither on this machine nor to be had from the network."""


@dataclass(frozen=True)
class Dataset:
    """Images as bytes, with their labels.

    name: what the data set is called.
    train_images, test_images: uint8 (n, 1, height, width), from 0 to `white`; of extracted files, they are mapped.
    train_labels, test_labels: int64 (n,).
    classes: one name a class.
    validation_images, validation_labels: training images held back, where `hold_back` made some.
    white: the byte that stands for an intensity of 1.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    white: int = 255
    validation_images: Tensor | None = None
    validation_labels: Tensor | None = None

    @property
    def num_inputs(self) -> int:
        """Pixels an image."""
        return math.prod(self.train_images.shape[1:])

    def checksum(self) -> str:
        """SHA-256, in hexadecimal, of all images and labels."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.contiguous().numpy())
        return digest.hexdigest()


class BatchIterator:
    """Batches (X, y) of a data set that lies on the device as bytes; nothing is done image by image.

    X is (batch, 1, height, width), bytes divided by `scale`, and y is (batch,) int64. Every pass gives every image
    exactly once, the last batch being shorter where the sizes do not divide. With a `seed` every pass has a new
    order, and the same seed gives the same orders on every device; without one the order is fixed.

    Args:
        images: uint8 (n, 1, height, width).
        labels: int64 (n,).
        batch_size: images a batch; more than n is one batch of n.
        seed: of the order; None keeps the order of `images`.
        scale: with 255, X is what torchvision's `ToTensor` gives: 0 to 1.
        device: where the data set is kept and the batches appear; default `try_gpu()`.
        dtype: of X, a floating-point type.

    Raises:
        ValueError: `batch_size` is below 1, or the images are no bytes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        *,
        seed: int | None = None,
        scale: float = 255,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        if batch_size < 1 or images.dtype != torch.uint8:
            raise ValueError(f"got a batch_size of {batch_size} and images of {images.dtype}, not uint8")
        device = try_gpu() if device is None else device
        self.images = images.to(device)
        self.labels = labels.to(device)
        self.batch_size = min(batch_size, len(labels))
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)
        # A tensor, because CUDA divides by a plain number as a product with its rounded reciprocal.
        self.scale = torch.tensor(scale, dtype=dtype, device=device)

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from self.batches(self.new_order())

    def new_order(self) -> Tensor | None:
        """Draw the order of the next pass, (n,), on the device; None stands for the fixed order."""
        if self.generator is None:
            return None
        return torch.randperm(len(self.labels), generator=self.generator).to(self.labels.device)

    def batches(self, order: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass in the given order."""
        # Small batches are prepared several at a time, because each operation has a price of its own.
        block = self.batch_size * max(1, BLOCK // self.batch_size)
        for start in range(0, len(self.labels), block):
            if order is None:
                images, y = self.images[start : start + block], self.labels[start : start + block]
            else:
                index = order[start : start + block]
                images, y = self.images.index_select(0, index), self.labels.index_select(0, index)
            X = images.to(self.scale.dtype).div_(self.scale)
            yield from zip(X.split(self.batch_size), y.split(self.batch_size), strict=True)


def load_data_fashion_mnist(
    batch_size: int,
    resize: int | None = None,
    *,
    data_dir: str | Path = "data",
    seed: int = 326,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[BatchIterator, BatchIterator]:
    """Return iterators over Fashion-MNIST's 60,000 training images, reshuffled every epoch, and 10,000 test images.

    Args:
        batch_size: images a batch, of both iterators; the last, shorter batch is included.
        resize: side of the images in pixels, as `torchvision.transforms.Resize` makes them; None leaves 28.
        data_dir: holds, or is given, `FashionMNIST/raw/`.
        seed: of the training order.
        device: where the data set is kept; default `try_gpu()`.
        dtype: of the images, which run from 0 to 1.

    Raises:
        UserError: the files are damaged, or cannot be had.
    """
    dataset = load_dataset("fashion-mnist", data_dir, resize)
    place = {"device": device, "dtype": dtype}
    return (
        BatchIterator(dataset.train_images, dataset.train_labels, batch_size, seed=seed, **place),
        BatchIterator(dataset.test_images, dataset.test_labels, batch_size, **place),
    )


def load_dataset(name: str, data_dir: str | Path = "data", resize: int | None = None) -> Dataset:
    """Read a data set, downloading it first where it is missing.

    Args:
        name: `fashion-mnist`, `mnist`, `kmnist` (in torchvision's layout under `data_dir`, extracted or not);
            `digits`, the 8×8 images that come with scikit-learn; the path of a folder with four IDX files of one's
            own; or `auto`: Fashion-MNIST or, with a warning, `digits` where it cannot be had.
        data_dir: where data sets lie and are downloaded to.
        resize: side of the images in pixels; None leaves them as they are.

    Raises:
        UserError: there is no such data set, it cannot be had, or its files are damaged.
    """
    try:
        dataset = _load(name, Path(data_dir))
    except OSError as error:
        raise UserError(f"cannot read {error.filename or name}: {error.strerror or error}") from error
    return dataset if resize is None else _resized(dataset, resize)


def _load(name: str, data_dir: Path) -> Dataset:
    if name == "auto":
        try:
            return _load_named("fashion-mnist", data_dir)
        except DataUnavailableError as error:
            warnings.warn(f"{error}. Training on digits instead", stacklevel=3)
            return _load_digits()
    if name in SOURCES:
        return _load_named(name, data_dir)
    if name == "digits":
        return _load_digits()
    if Path(name).is_dir():
        return _read_four(Path(name).resolve().name, Path(name), None)
    raise UserError(f"unknown data set '{name}': use {', '.join(DATASETS)}, or a folder that holds four IDX files")


def hold_back(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Move `count` training images, drawn at random from the seed, to a validation set.

    Raises:
        UserError: that would leave nothing to train on.
    """
    total = len(dataset.train_labels)
    if count >= total:
        raise UserError(f"--validation {count} leaves nothing of the {total} training images of {dataset.name}")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    validation, train = order[:count].sort().values, order[count:].sort().values
    return replace(
        dataset,
        train_images=dataset.train_images[train],
        train_labels=dataset.train_labels[train],
        validation_images=dataset.train_images[validation],
        validation_labels=dataset.train_labels[validation],
    )


def _load_named(name: str, data_dir: Path) -> Dataset:
    source = SOURCES[name]
    folder = data_dir / source.folder / "raw"
    for archive, published in source.resources:
        path = _find(folder, Path(archive).stem)
        if path is None:
            try:
                download(archive, published, source.mirrors, folder)
            except DownloadError as error:
                raise DataUnavailableError(
                    f"{name} is not in {folder} and could not be downloaded ({error}); "
                    "name a folder that has it with --data-dir"
                ) from error
        elif path.suffix == ".gz" and (md5 := _md5(path)) != published:
            raise UserError(
                f"{path} has the wrong checksum (MD5 {md5}, published {published}): delete it to download it again"
            )
    return _read_four(name, folder, source.classes)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _find(folder: Path, stem: str) -> Path | None:
    """The file under its name with `.gz`, whose checksum is published, or else extracted."""
    return next((path for path in (folder / f"{stem}.gz", folder / stem) if path.is_file()), None)


def _read_four(name: str, folder: Path, classes: tuple[str, ...] | None) -> Dataset:
    """Read train and test images and labels; without `classes`, the training labels say how many there are."""
    tensors = []
    for split in _SPLITS:
        paths = {kind: _find(folder, f"{split}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")}
        for kind, path in paths.items():
            if path is None:
                raise UserError(f"{folder} holds no file {split}-{kind}-ubyte or {split}-{kind}-ubyte.gz")
        images, labels = read_images(paths["images-idx3"]), read_labels(paths["labels-idx1"])
        if len(images) != len(labels):
            raise UserError(f"{folder} holds {len(images)} {split} images but {len(labels)} {split} labels")
        if classes is None:
            classes = tuple(str(i) for i in range(max(2, int(labels.max()) + 1)))
        if (highest := int(labels.max())) >= len(classes):
            raise UserError(
                f"{paths['labels-idx1']} has the label {highest}, but the classes are 0 to {len(classes) - 1}"
            )
        if tensors and images.shape[1:] != tensors[0].shape[2:]:
            sizes = " and ".join("×".join(map(str, shape)) for shape in (tensors[0].shape[2:], images.shape[1:]))
            raise UserError(f"{folder} holds training and test images of different sizes, {sizes}")
        tensors += [images.unsqueeze(1), labels]
    return Dataset(name, *tensors, classes)


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1).numpy(),
        digits.target,
        test_size=360,
        random_state=0,
        stratify=digits.target,
    )
    tensors = (torch.from_numpy(a) for a in (train_images, train_labels, test_images, test_labels))
    return Dataset("digits", *tensors, classes=tuple(str(i) for i in range(10)), white=16)


def _resized(dataset: Dataset, side: int) -> Dataset:
    """Images of side × side pixels, each as `torchvision.transforms.Resize` makes it of the PIL image."""
    from torchvision.transforms import Resize
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    needed = side * side * (len(dataset.train_images) + len(dataset.test_images))
    if needed > physical_memory():
        raise UserError(f"--resize {side} would take {needed / 2**30:.0f} GiB for {dataset.name}, more than there is")
    resize = Resize((side, side))

    def resized(images: Tensor) -> Tensor:
        out = images.new_empty(len(images), 1, side, side)
        for image, target in zip(images, out, strict=True):
            target.copy_(pil_to_tensor(resize(to_pil_image(image))))
        return out

    return replace(dataset, train_images=resized(dataset.train_images), test_images=resized(dataset.test_images))
