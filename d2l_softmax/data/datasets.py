"""Data sets by name: images as bytes, with their labels."""

import hashlib
import math
import operator
import os
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from d2l_softmax.data.batches import BatchIterator
from d2l_softmax.data.catalogue import SOURCES, DataUnavailableError, find_or_download, find_own
from d2l_softmax.data.files import outermost, read_idx, read_image
from d2l_softmax.data.folders import ClassFolders
from d2l_softmax.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """Images as bytes, with their labels.

    name: what the data set is called.
    train_images, test_images: uint8 (n, 1, height, width), from 0 to `max_value`.
    train_labels, test_labels: int64 (n,).
    classes: one name per class.
    max_value: the byte that stands for an intensity of 1.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    max_value: int = 255

    @property
    def num_inputs(self) -> int:
        """Pixels per image."""
        return math.prod(self.train_images.shape[1:])

    @cached_property
    def description(self) -> dict:
        """What `config.json` says of it; `border` is the median of the outermost pixels of the training images."""
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
            "border": int(outermost(self.train_images).median()),
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
    *,
    resize: int | None = None,
    data_dir: str | Path = "data",
    seed: int = 326,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[BatchIterator, BatchIterator]:
    """Return iterators over Fashion-MNIST's 60,000 training images, reshuffled every epoch, and 10,000 test images.

    Args:
        batch_size: images per batch, of both iterators; the last, shorter batch is included.
        resize: side of the images in pixels, as `torchvision.transforms.Resize` makes them; None leaves 28. It needs
            its name, because in that place some books have the side, and others a number of workers.
        data_dir: holds, or is given, `FashionMNIST/raw/`.
        seed: of the training order.
        device: where the data set is kept; default `try_gpu()`.
        dtype: of the images, which run from 0 to 1; a floating-point type.

    Raises:
        TypeError: there is a second argument without a name.
        ValueError: `batch_size` or `resize` is below 1.
        UserError: the files are damaged, or not available.
    """
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
            `digits`, the 8×8 images that come with scikit-learn; `auto`: Fashion-MNIST or, with a warning, `digits`
            where that is not available; or the path of a folder of one's own, with four IDX files, or with images as
            `torchvision.datasets.ImageFolder` reads them, in a folder for each class. Those are either in `train/`
            and `test/`, or directly in the folder: then a fifth of each class is held out for the test.
        data_dir: where data sets lie and are downloaded to.
        resize: side of the images in pixels; None leaves them as they are.
        seed: decides which images are held out for the test.

    Raises:
        UserError: there is no such data set, it is not available, or a file or a folder of it is not as it must be.
        ValueError: `resize` is below 1.
    """
    if name == "auto":
        try:
            return load_dataset("fashion-mnist", data_dir, resize)
        except DataUnavailableError as error:
            warnings.warn(f"{error}. Training on digits instead", stacklevel=2)
            name = "digits"
    if name == "digits":
        dataset = _load_digits()
    elif name in SOURCES:
        paths = find_or_download(name, Path(os.path.expanduser(data_dir)))
        dataset = _read_four(name, paths, SOURCES[name].classes)
    else:
        found, folder_name = find_own(name), Path(os.path.expanduser(name)).resolve().name
        if isinstance(found, ClassFolders):
            return _read_classes(folder_name, found, resize, seed)
        dataset = _read_four(folder_name, found)
    if resize is None:
        return dataset
    train, test = (_resized(images, resize) for images in (dataset.train_images, dataset.test_images))
    return replace(dataset, train_images=train, test_images=test)


def split(dataset: Dataset, validation: int, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Images and labels of `train` and `test` and, where images are held out, `validation`.

    As many training images as `validation` says are drawn at random from the seed.

    Raises:
        UserError: that would leave nothing to train on.
    """
    images, labels = dataset.train_images, dataset.train_labels
    splits = {"train": (images, labels), "test": (dataset.test_images, dataset.test_labels)}
    if validation >= len(labels):
        raise UserError(
            f"--validation {validation} leaves nothing of the {len(labels)} training images of {dataset.name}"
        )
    if validation:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
        held_out, left = order[:validation].sort().values, order[validation:].sort().values
        splits |= {"train": (images[left], labels[left]), "validation": (images[held_out], labels[held_out])}
    return splits


def _read_four(name: str, paths: list[Path], classes: tuple[str, ...] | None = None) -> Dataset:
    """Read train and test images and labels; without `classes`, the training labels determine how many there are."""
    train_images, train_labels, test_images, test_labels = map(read_idx, paths, (3, 1, 3, 1))
    present = set(train_labels.tolist())
    classes = classes or tuple(map(str, range(max(1, *present) + 1)))
    for images, labels, path in ((train_images, train_labels, paths[1]), (test_images, test_labels, paths[3])):
        if len(images) != len(labels):
            raise UserError(f"{path} holds {len(labels)} labels, but there are {len(images)} images")
        if (highest := labels.max()) >= len(classes):
            raise UserError(f"{path} has the label {highest}, but the classes are 0 to {len(classes) - 1}")
    if train_images.shape[1:] != test_images.shape[1:]:
        raise UserError(f"{paths[0].parent} holds training and test images of different sizes")
    if empty := sorted(set(range(len(classes))) - present):
        warnings.warn(f"{paths[1]} has no label {', '.join(map(str, empty))}: classes without images", stacklevel=3)
    train, test = (train_images.unsqueeze(1), train_labels.long()), (test_images.unsqueeze(1), test_labels.long())
    return Dataset(name, *train, *test, classes)


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, labels = digits.images.astype(np.uint8)[:, None], digits.target
    parts = train_test_split(images, labels, test_size=360, random_state=0, stratify=labels)
    train_images, test_images, train_labels, test_labels = map(torch.from_numpy, parts)
    classes = tuple(str(i) for i in range(10))
    return Dataset("digits", train_images, train_labels, test_images, test_labels, classes, max_value=16)


def _resized(images: Tensor, side: int) -> Tensor:
    """Images of side × side pixels, each as `torchvision.transforms.Resize` makes it of the Pillow image."""
    size, how = (side, side), Image.Resampling.BILINEAR
    resized = [np.asarray(Image.fromarray(image).resize(size, how)) for image in images[:, 0].numpy()]
    return torch.from_numpy(np.stack(resized)).unsqueeze(1)


def _read_classes(name: str, found: ClassFolders, side: int | None, seed: int) -> Dataset:
    """Read images in class folders, in a random order, so that the first ones are of several classes."""
    from sklearn.model_selection import train_test_split
    from sklearn.utils import shuffle

    if found.test is None:
        labels = [label for _, label in found.train]
        how = {"test_size": max(len(found.classes), len(labels) // 5), "random_state": operator.index(seed) % 2**32}
        try:
            train, test = train_test_split(found.train, stratify=labels, **how)
        except ValueError as error:
            raise UserError(f"{name} has a class of one image: add some, or make train/ and test/") from error
        n = f"{len(test)} of {len(labels)} images"
        warnings.warn(f"{name} has no train/ and test/: the seed holds out {n} by class for the test", stacklevel=3)
    else:
        train, test = (shuffle(part, random_state=0) for part in (found.train, found.test))
    paths, labels = zip(*train, *test, strict=True)
    images = []
    for path in tqdm(paths, "reading images", leave=False, disable=None):
        images.append(read_image(path, side and (side, side)))
        if images[-1].shape != images[0].shape:
            raise UserError(
                f"{paths[0]} and {path} have different sizes: scale all with --resize N, in Python resize=N"
            )
    n, images, labels = len(train), torch.stack(images), torch.tensor(labels)
    return Dataset(name, images[:n], labels[:n], images[n:], labels[n:], found.classes)
