"""What a run trains: the learner and its data, built from the settings."""

import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

import torch

from d2l_softmax.data.batches import BatchIterator, block_size
from d2l_softmax.data.datasets import Dataset, load_dataset, split_validation
from d2l_softmax.device import resolve_device
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.lr_schedule import SCHEDULES
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.initialisers import INITIALISERS
from d2l_softmax.modes import MODES
from d2l_softmax.scale import distributed
from d2l_softmax.scale.cuda_graph import CapturedEpoch
from d2l_softmax.training import EpochResult, Learner, run_epoch, train_epoch


class Setup(NamedTuple):
    """What runs have in common that differ only in their mode or their rates."""

    dataset: Dataset
    sha256: str
    device: torch.device


def prepare(settings: Settings) -> Setup:
    """Seed, find the device and read the data.

    Raises:
        UserError: the device does not exist, the data are not available or are damaged.
    """
    torch.manual_seed(settings.seed)
    device = distributed.local_device(resolve_device(settings.device))
    if settings.cuda_graph and (device.type != "cuda" or distributed.launched()):
        where = "several processes" if distributed.launched() else device
        raise UserError(f"--cuda-graph is for one process on a CUDA device, and this is {where}")
    if device.type == "mps" and settings.dtype == "float64":
        raise UserError("--dtype float64 does not exist on MPS: use --device cpu or --dtype float32")
    dataset = load_dataset(settings.dataset, settings.data_dir, settings.resize)
    return Setup(dataset, dataset.checksum(), device)


def build_learner(settings: Settings, num_inputs: int, num_outputs: int, device: torch.device) -> Learner:
    """Build the learner of the mode."""
    return MODES[settings.mode](
        num_inputs,
        num_outputs,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        initialiser=INITIALISERS[settings.init],
        generator=torch.Generator().manual_seed(settings.seed),
        device=device,
        dtype=getattr(torch, settings.dtype),
    )


class Job(NamedTuple):
    """A learner with its data, and the epochs it already has: everything that training needs."""

    settings: Settings
    setup: Setup
    dataset: Dataset
    learner: Learner
    train_iter: Any
    test_iter: BatchIterator
    validation_iter: BatchIterator | None
    generator: torch.Generator
    history: tuple[EpochResult, ...] = ()
    hparams: dict[str, float] | None = None  # of a member of a sweep: what sets it apart

    def epochs(self) -> Iterator[EpochResult]:
        """Train, one epoch whenever a result is asked for, up to the number of the settings."""
        learner = distributed.wrap_learner(self.learner)
        iterators = {"train": self.train_iter, "test": self.test_iter, "validation": self.validation_iter}
        shards = {split: distributed.shard(data_iter) for split, data_iter in iterators.items()}
        one_epoch = CapturedEpoch() if self.settings.cuda_graph else train_epoch
        for epoch in range(len(self.history) + 1, self.settings.epochs + 1):
            self.set_learning_rate(epoch)
            result = run_epoch(learner, epoch, *shards.values(), train_epoch=one_epoch)
            yield distributed.reduce_result(result, **shards)

    def set_learning_rate(self, epoch: int) -> None:
        """Set the learning rate of an epoch."""
        factor = SCHEDULES[self.settings.lr_schedule](epoch, self.settings.epochs)
        for group in self.learner.updater.param_groups:
            group["lr"] = self.settings.lr * factor

    def config(self) -> dict:
        """Return the content of `config.json`: the settings, the data, and what it runs on."""
        dataset, (_, sha256, device) = self.dataset, self.setup
        return {
            "settings": asdict(self.settings),
            "data": describe_data(dataset, sha256),
            "device": {
                "type": str(device),
                "name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
                "threads": torch.get_num_threads(),
            },
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": sys.argv,
        }


def describe_data(dataset: Dataset, sha256: str) -> dict:
    """What `config.json` says of a data set."""
    height, width = dataset.train_images.shape[2:]
    return {
        "name": dataset.name,
        "sha256": sha256,
        "train_images": len(dataset.train_labels),
        "test_images": len(dataset.test_labels),
        "height": height,
        "width": width,
        "max_value": dataset.max_value,
        "classes": dataset.classes,
    }


def make_job(settings: Settings, setup: Setup) -> Job:
    """Build the learner of the mode and put its data on the device."""
    dataset, _, device = setup
    if settings.validation:
        dataset = split_validation(dataset, settings.validation, settings.seed)
    splits = {"training": dataset.train_labels, "test": dataset.test_labels, "validation": dataset.validation_labels}
    distributed.check_shares(splits)
    dtype = getattr(torch, settings.dtype)
    place = {"scale": settings.scale(dataset.max_value), "device": device, "dtype": dtype}

    def in_order(images: torch.Tensor | None, labels: torch.Tensor | None) -> BatchIterator | None:
        # Evaluation does not depend on the size of its batches, so it takes one that is fast.
        return None if images is None else BatchIterator(images, labels, block_size(images, dtype), **place)

    train_iter = BatchIterator(
        dataset.train_images, dataset.train_labels, settings.batch_size, seed=settings.seed, **place
    )
    return Job(
        settings,
        setup,
        dataset,
        build_learner(settings, dataset.num_inputs, len(dataset.classes), device),
        train_iter,
        in_order(dataset.test_images, dataset.test_labels),
        in_order(dataset.validation_images, dataset.validation_labels),
        train_iter.generator,
    )


def headline(what: str, job: Job) -> str:
    """One line that says what is trained on which data and where."""
    dataset, validation_iter = job.dataset, job.validation_iter
    height, width = dataset.train_images.shape[2:]
    validation = "" if validation_iter is None else f", {len(validation_iter.labels)} validation"
    return (
        f"{what} on {dataset.name}: {len(dataset.train_labels)} training{validation} and {len(dataset.test_labels)} "
        f"test images of {height}×{width}, {len(dataset.classes)} classes; {job.setup.device}, {job.settings.dtype}"
    )
