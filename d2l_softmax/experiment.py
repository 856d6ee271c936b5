"""One run from its settings to its folder: load, build, train, and let everyone who writes listen."""

import platform
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch

from d2l_softmax.checkpoint import Checkpoints
from d2l_softmax.console import HEADER, print_epoch, with_progress
from d2l_softmax.data import BatchIterator, Dataset, load_dataset
from d2l_softmax.device import resolve_device
from d2l_softmax.errors import UserError
from d2l_softmax.event_log import EventLog
from d2l_softmax.modes import MODES
from d2l_softmax.run_folder import MetricsFile, create_run_folder, write_config
from d2l_softmax.settings import Settings
from d2l_softmax.training import DivergedError, EpochResult, train

# Evaluation does not depend on the size of its batches, so it takes one that is fast.
EVALUATION_BATCH = 1024


class Run(NamedTuple):
    """A finished run: its folder and what its epochs came to."""

    folder: Path
    results: list[EpochResult]


def run(settings: Settings) -> Run:
    """Train as `settings` say, printing the table of epochs and filling the run's folder.

    Raises:
        UserError: the settings ask for what this machine does not have, the data are damaged, the folder cannot be
            written, or the loss stopped being finite.
    """
    torch.manual_seed(settings.seed)
    device = resolve_device(settings.device)
    dtype = getattr(torch, settings.dtype)
    if device.type == "mps" and dtype == torch.float64:
        raise UserError("--dtype float64 does not exist on MPS: use --device cpu or --dtype float32")
    dataset = load_dataset(settings.dataset, settings.data_dir, settings.resize)
    learner = MODES[settings.mode](
        dataset.num_inputs,
        len(dataset.classes),
        lr=settings.lr,
        generator=torch.Generator().manual_seed(settings.seed),
        device=device,
        dtype=dtype,
    )
    place = {"scale": dataset.white, "device": device, "dtype": dtype}
    train_iter = BatchIterator(
        dataset.train_images, dataset.train_labels, settings.batch_size, seed=settings.seed, **place
    )
    test_iter = BatchIterator(dataset.test_images, dataset.test_labels, EVALUATION_BATCH, **place)

    folder = create_run_folder(settings.logdir, dataset.name, settings.mode, settings.run_name)
    try:
        write_config(folder, _config(settings, dataset, device))
        event_log = EventLog(folder)
        print(_headline(settings, dataset, device), HEADER, sep="\n", flush=True)
        results: list[EpochResult] = []
        try:
            train(
                learner.net,
                with_progress(train_iter, settings.epochs),
                test_iter,
                learner.loss,
                settings.epochs,
                learner.updater,
                backward=learner.backward,
                listeners=[MetricsFile(folder), event_log, Checkpoints(folder, learner), print_epoch, results.append],
            )
        finally:
            event_log.close()
    except DivergedError as error:
        kept = f"the {error.epoch - 1} epochs before are" if error.epoch > 1 else "its settings are"
        raise UserError(f"{error}: {kept} kept in {folder}; try a smaller --lr than {settings.lr:g}") from error
    except OSError as error:
        raise UserError(f"cannot write the run to {folder}: {error.strerror or error}") from error
    return Run(folder, results)


def _headline(settings: Settings, dataset: Dataset, device: torch.device) -> str:
    height, width = dataset.train_images.shape[2:]
    return (
        f"{settings.mode} on {dataset.name}: {len(dataset.train_labels)} training and "
        f"{len(dataset.test_labels)} test images of {height}×{width}, {len(dataset.classes)} classes; {device}, {settings.dtype}"
    )


def _config(settings: Settings, dataset: Dataset, device: torch.device) -> dict:
    height, width = dataset.train_images.shape[2:]
    return {
        "settings": asdict(settings),
        "data": {
            "name": dataset.name,
            "sha256": dataset.checksum(),
            "train_images": len(dataset.train_labels),
            "test_images": len(dataset.test_labels),
            "height": height,
            "width": width,
            "white": dataset.white,
            "classes": dataset.classes,
        },
        "device": {
            "type": str(device),
            "name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
            "threads": torch.get_num_threads(),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": sys.argv,
    }
