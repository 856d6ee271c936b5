"""Data sets by name: images as bytes, with their labels."""

import hashlib
import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from d2l_softmax.data import catalogue
from d2l_softmax.data.batches import BatchIterator, check_batches
from d2l_softmax.data.catalogue import IDX_FILES, SOURCES, DataUnavailableError, check_dataset
from d2l_softmax.data.idx import read_idx
from d2l_softmax.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """Images as bytes, with their labels.

    name: what the data set is called.
    train_images, test_images: uint8 (n, 1, height, width), from 0 to `max_value`.
    train_labels, test_labels: int64 (n,).
    classes: one name per class.
    validation_images, validation_labels: training images held back, where `split_validation` made some.
    max_value: the byte that stands for an intensity of 1.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    max_value: int = 255
    validation_images: Tensor | None = None
    validation_labels: Tensor | None = None

    @property
    def num_inputs(self) -> int:
        """Pixels per image."""
        return math.prod(self.train_images.shape[1:])

    @cached_property
    def description(self) -> dict:
        """What `config.json` says of the data set."""
        height, width = self.train_images.shape[2:]
        return {
            "name": self.name,
            "sha256": self.checksum(),
            "train_images": len(self.train_labels),
            "test_images": len(self.test_labels),
            "height": height,
            "width": width,
            "max_value": self.max_value,
            "classes": self.classes,
        }

    def checksum(self) -> str:
        """SHA-256, in hexadecimal, of all images and labels."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.contiguous().numpy())
        return digest.hexdigest()


def load_data_fashion_mnist(
    batch_size: int,
    *others: object,
    resize: int | None = None,
    data_dir: str | Path = "data",
    seed: int = 326,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[BatchIterator, BatchIterator]:
    """Return iterators over Fashion-MNIST's 60,000 training images, reshuffled every epoch, and 10,000 test images.

    Args:
        batch_size: images per batch, of both iterators; the last, shorter batch is included.
        others: refused: what would be the side of the images in some books is a number of workers in others.
        resize: side of the images in pixels, as `torchvision.transforms.Resize` makes them; None leaves 28.
        data_dir: holds, or is given, `FashionMNIST/raw/`.
        seed: of the training order.
        device: where the data set is kept; default `try_gpu()`.
        dtype: of the images, which run from 0 to 1; a floating-point type.

    Raises:
        TypeError: there is a second argument without a name.
        ValueError: `batch_size`, `resize` or `dtype` is not allowed.
        UserError: the files are damaged, or not available.
    """
    if others:
        raise TypeError(
            f"load_data_fashion_mnist takes one argument without a name, got {others[0]!r} as well: write resize= "
            "for the side of the images; a number of workers is not needed"
        )
    check_batches(batch_size, dtype)
    dataset = load_dataset("fashion-mnist", data_dir, resize)
    place = {"device": device, "dtype": dtype}
    return (
        BatchIterator(dataset.train_images, dataset.train_labels, batch_size, seed=seed, **place),
        BatchIterator(dataset.test_images, dataset.test_labels, batch_size, **place),
    )


def load_dataset(name: str, data_dir: str | Path = "data", resize: int | None = None, seed: int = 326) -> Dataset:
    """Read a data set, downloading it first where it is missing.

    Args:
        name: `fashion-mnist`, `mnist`, `kmnist` (in torchvision's layout under `data_dir`, extracted or not);
            `digits`, the 8×8 images that come with scikit-learn; the path of a folder with four IDX files of one's
            own; or `auto`: Fashion-MNIST or, with a warning, `digits` where that is not available.
        data_dir: where data sets lie and are downloaded to.
        resize: side of the images in pixels; None leaves them as they are.

    Raises:
        UserError: there is no such data set, it is not available or its files are damaged.
        ValueError: `resize` is not a whole number of at least 1.
    """
    if resize is not None and (not isinstance(resize, int) or resize < 1):
        raise ValueError(f"resize must be the side in pixels, a whole number of at least 1, got {resize!r}")
    check_dataset(name, data_dir)
    if name == "auto":
        try:
            return load_dataset("fashion-mnist", data_dir, resize)
        except DataUnavailableError as error:
            warnings.warn(f"{error}. Training on digits instead", stacklevel=2)
            name = "digits"
    if name == "digits":
        dataset = _load_digits()
    elif name in SOURCES:
        dataset = _read_four(name, catalogue.find_or_download(name, Path(data_dir)), SOURCES[name].classes)
    else:
        dataset = _read_four(Path(name).resolve().name, catalogue.find_four(Path(name)), None)
    return dataset if resize is None else _resized(dataset, resize)


def split_validation(dataset: Dataset, count: int, seed: int) -> Dataset:
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


def _read_four(name: str, paths: dict[str, Path], classes: tuple[str, ...] | None) -> Dataset:
    """Read train and test images and labels; without `classes`, the training labels determine how many there are."""
    train_images, train_labels, test_images, test_labels = (paths[file] for file in IDX_FILES)
    tensors = []
    for images_path, labels_path in ((train_images, train_labels), (test_images, test_labels)):
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1).to(torch.int64)
        if len(images) != len(labels):
            raise UserError(f"{images_path} holds {len(images)} images, but {labels_path} {len(labels)} labels")
        classes = classes or tuple(str(i) for i in range(max(2, int(labels.max()) + 1)))
        if (highest := int(labels.max())) >= len(classes):
            raise UserError(f"{labels_path} has the label {highest}, but the classes are 0 to {len(classes) - 1}")
        if tensors and images.shape[1:] != tensors[0].shape[2:]:
            sizes = " and ".join("×".join(map(str, shape)) for shape in (tensors[0].shape[2:], images.shape[1:]))
            raise UserError(f"{images_path.parent} holds training and test images of different sizes, {sizes}")
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
    return Dataset("digits", *tensors, classes=tuple(str(i) for i in range(10)), max_value=16)


def _resized(dataset: Dataset, side: int) -> Dataset:
    """Images of side × side pixels, each as `torchvision.transforms.Resize` makes it of the PIL image."""
    from torchvision.transforms import Resize
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    resize = Resize((side, side))

    def resized(images: Tensor) -> Tensor:
        out = images.new_empty(len(images), 1, side, side)
        for image, target in zip(images, out, strict=True):
            target.copy_(pil_to_tensor(resize(to_pil_image(image))))
        return out

    return replace(dataset, train_images=resized(dataset.train_images), test_images=resized(dataset.test_images))
