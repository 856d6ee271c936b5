"""One run from its settings to its folder: load, build, train, and let everyone who writes listen."""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from d2l_softmax import distributed
from d2l_softmax.captured import CapturedEpoch
from d2l_softmax.checkpoint import Checkpoints, discard_remains, load_last, restore
from d2l_softmax.console import EpochTable, with_progress
from d2l_softmax.data import BatchIterator, Dataset, hold_back, load_dataset
from d2l_softmax.device import resolve_device
from d2l_softmax.errors import UserError
from d2l_softmax.event_log import EventLog
from d2l_softmax.init import INITIALISERS
from d2l_softmax.learner import Learner
from d2l_softmax.midway import Midway, StepTable
from d2l_softmax.modes import MODES
from d2l_softmax.run_folder import MetricsFile, check_run_name, create_run_folder, locked, read_config, write_config
from d2l_softmax.schedule import LearningRate
from d2l_softmax.settings import Settings
from d2l_softmax.stop import Stop, StoppedError
from d2l_softmax.training import DivergedError, EpochResult, epochs, train_epoch

# Evaluation does not depend on the size of its batches, so it takes one that is fast.
EVALUATION_BATCH = 1024

Listener = Callable[[EpochResult], None]


class Setup(NamedTuple):
    """What runs have in common that differ in their mode or their rates only."""

    dataset: Dataset
    device: torch.device


class Job(NamedTuple):
    """A learner with its data, and the epochs it has behind it: everything that training needs."""

    learner: Learner
    train_iter: Any
    test_iter: BatchIterator
    validation_iter: BatchIterator | None
    generator: torch.Generator
    history: tuple[EpochResult, ...] = ()
    one_epoch: Callable[..., tuple[float, float]] = train_epoch

    def epochs(self, num_epochs: int) -> Iterator[EpochResult]:
        """Train, an epoch whenever a result is asked for, until there are `num_epochs`."""
        net, loss, updater, *_, backward = distributed.together(self.learner)
        splits = {"train": self.train_iter, "test": self.test_iter, "validation": self.validation_iter}
        parts = {name: distributed.part_of(data_iter) for name, data_iter in splits.items()}
        for result in epochs(
            net,
            parts["train"],
            parts["test"],
            loss,
            num_epochs,
            updater,
            backward=backward,
            validation_iter=parts["validation"],
            first_epoch=len(self.history) + 1,
            one_epoch=self.one_epoch,
        ):
            yield distributed.combined(result, **parts)


class Recording(NamedTuple):
    """A job that is being recorded: its listeners, who must hear of every epoch, and its curves."""

    job: Job
    listeners: list[Listener]
    event_log: EventLog | None


class Run(NamedTuple):
    """A run that has ended: its folder, what its epochs came to, and the signal that stopped it early, if one did."""

    folder: Path
    results: list[EpochResult]
    stopped_by: int | None = None


def prepare(settings: Settings) -> Setup:
    """Seed, find the device and read the data.

    Raises:
        UserError: the device does not exist, the data cannot be had or are damaged.
    """
    torch.manual_seed(settings.seed)
    device = distributed.local_device(resolve_device(settings.device))
    if settings.cuda_graph and (device.type != "cuda" or distributed.launched()):
        where = "several processes" if distributed.launched() else device
        raise UserError(f"--cuda-graph is for one process on a CUDA device, and this is {where}")
    if device.type == "mps" and settings.dtype == "float64":
        raise UserError("--dtype float64 does not exist on MPS: use --device cpu or --dtype float32")
    dataset = distributed.first_then_others(
        lambda: load_dataset(settings.dataset, settings.data_dir, settings.resize)
    )
    if settings.validation:
        dataset = hold_back(dataset, settings.validation, settings.seed)
    return Setup(dataset, device)


def build_learner(settings: Settings, num_inputs: int, num_outputs: int, device: torch.device) -> Learner:
    """Build the mode's learner."""
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


def make_job(settings: Settings, setup: Setup) -> Job:
    """Build the mode's learner and put its data on the device."""
    dataset, device = setup
    learner = build_learner(settings, dataset.num_inputs, len(dataset.classes), device)
    place = {
        "scale": settings.scale(dataset.white),
        "device": device,
        "dtype": getattr(torch, settings.dtype),
    }

    def in_order(images: torch.Tensor, labels: torch.Tensor) -> BatchIterator:
        return BatchIterator(images, labels, EVALUATION_BATCH, **place)

    train_iter = BatchIterator(
        dataset.train_images, dataset.train_labels, settings.batch_size, seed=settings.seed, **place
    )
    test_iter = in_order(dataset.test_images, dataset.test_labels)
    held_back = dataset.validation_images is not None
    validation_iter = in_order(dataset.validation_images, dataset.validation_labels) if held_back else None
    job = Job(learner, train_iter, test_iter, validation_iter, train_iter.generator)
    return job._replace(one_epoch=CapturedEpoch()) if settings.cuda_graph else job


@contextmanager
def recording(settings: Settings, setup: Setup, job: Job, folder: Path) -> Iterator[Recording]:
    """Fill the run's folder while the block trains the recording's job and tells its listeners.

    Whatever ends the block, the curves are flushed and the last epoch's checkpoint is written. Of several processes
    only the first writes.

    Raises:
        UserError: the folder cannot be written.
    """
    rate = LearningRate(job.learner.updater, settings.lr, settings.lr_schedule, settings.epochs)
    if not distributed.is_first():
        yield Recording(job, [rate], None)
        return
    try:
        with ExitStack() as stack:
            stack.enter_context(locked(folder))
            write_config(folder, _config(settings, setup))
            validation = job.validation_iter is not None
            metrics = MetricsFile(folder, validation, job.history)
            event_log = EventLog(folder, len(job.history))
            stack.callback(event_log.close)
            checkpoints = Checkpoints(folder, job.learner, job.generator, settings.checkpoint_every, job.history)
            stack.callback(checkpoints.flush)
            if settings.eval_every is not None:
                job, step_table = _with_midway(settings, job, folder)
                stack.callback(step_table.close)
            event_log.writer.add_text("settings", _as_table(settings), 0)
            # The checkpoint comes last: what it says has been done must have been written by everyone else.
            listeners = [metrics, event_log, rate, checkpoints]
            if not settings.figures:
                yield Recording(job, listeners, event_log)
                return
            from d2l_softmax.gallery import Gallery

            gallery = Gallery(folder, event_log.writer, setup.dataset, job.learner, job.test_iter, job.history)
            yield Recording(job, [gallery, *listeners], event_log)
            gallery.finish()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(f"cannot write the run to {folder}: {error.strerror or error}") from error


@contextmanager
def explained_divergence(settings: Settings, folder: Path) -> Iterator[None]:
    """Turn a loss that stopped being finite into words for the user.

    Raises:
        UserError: it did.
    """
    try:
        yield
    except DivergedError as error:
        kept = {1: "its settings are", 2: "epoch 1 is"}.get(error.epoch, f"epochs 1 to {error.epoch - 1} are")
        raise UserError(f"{error}: {kept} kept in {folder}; try a smaller --lr than {settings.lr:g}") from error


def run(settings: Settings) -> Run:
    """Train as `settings` say, printing the table of epochs and filling the run's folder.

    Raises:
        UserError: the settings ask for what this machine does not have, the data are damaged, the folder cannot be
            written, or the loss stopped being finite.
    """
    distributed.connect()
    if settings.run_name is not None:
        check_run_name(settings.logdir, settings.run_name)
    setup = prepare(settings)
    label = f"{setup.dataset.name}-{settings.mode}"
    folder = distributed.from_first(lambda: create_run_folder(settings.logdir, label, settings.run_name))
    return _train(settings, setup, make_job(settings, setup), folder)


def resume(folder: Path, given: dict[str, Any]) -> Run:
    """Continue a run from its last good checkpoint, or from its start where there is none yet.

    Args:
        folder: the run's.
        given: settings that were given with the command. `epochs`, the number that the run is to have in the end,
            and where to compute and to find the data may be new; all others must be those of the run.

    Raises:
        UserError: there is no such run, it is being written, a setting contradicts it, or as `run`.
    """
    distributed.connect()
    config, found = distributed.from_first(lambda: _read(folder))
    settings = _continued(folder, config, given)
    history = () if found is None else tuple(EpochResult(*result) for result in found[0]["history"])
    if len(history) >= settings.epochs:
        print(f"{folder} already has {len(history)} epochs: name more with --epochs to train on")
        return Run(folder, list(history))
    setup = prepare(settings)
    if setup.dataset.checksum() != config["data"]["sha256"]:
        raise UserError(f"the data set is not the one that {folder} was trained on: its checksum differs")
    job = make_job(settings, setup)
    if found is not None:
        restore(found[0], job.learner, job.generator, found[1])
    if distributed.is_first():
        discard_remains(folder, found)
    return _train(settings, setup, job._replace(history=history), folder)


def headline(what: str, settings: Settings, setup: Setup) -> str:
    """One line that says what is trained on what and where."""
    dataset, device = setup
    height, width = dataset.train_images.shape[2:]
    held_back = f", {len(dataset.validation_labels)} validation" if settings.validation else ""
    return (
        f"{what} on {dataset.name}: {len(dataset.train_labels)} training{held_back} and {len(dataset.test_labels)} "
        f"test images of {height}×{width}, {len(dataset.classes)} classes; {device}, {settings.dtype}"
    )


def _read(folder: Path) -> tuple[dict, tuple[dict, Path] | None]:
    """The settings of a run that nobody is writing, and its last good checkpoint."""
    config = read_config(folder)
    with locked(folder):
        return config, load_last(folder)


def _train(settings: Settings, setup: Setup, job: Job, folder: Path) -> Run:
    results = list(job.history)
    with Stop() as stop:
        try:
            with (
                explained_divergence(settings, folder),
                recording(settings, setup, job, folder) as (job, listeners, _),
            ):
                print(headline(settings.mode, settings, setup), flush=True)
                listeners.insert(0, EpochTable(job.validation_iter is not None))
                if not settings.cuda_graph:
                    job = job._replace(train_iter=with_progress(job.train_iter, len(results) + 1, settings.epochs))
                for result in job.epochs(settings.epochs):
                    with stop.shield():
                        results.append(result)
                        for listener in listeners:
                            listener(result)
        except StoppedError as stopped:
            return Run(folder, results, stopped.signum)
    distributed.disconnect()
    return Run(folder, results)


def _with_midway(settings: Settings, job: Job, folder: Path) -> tuple[Job, StepTable]:
    """The job with what `--eval-every` asks for, going on where its history ends."""
    splits = {"test": job.test_iter, "validation": job.validation_iter}
    steps_done = len(job.history) * len(job.train_iter)
    table = StepTable(folder, job.learner, {name: s for name, s in splits.items() if s is not None}, steps_done)
    return job._replace(train_iter=Midway(job.train_iter, settings.eval_every, table, steps_done)), table


def _continued(folder: Path, config: dict, given: dict[str, Any]) -> Settings:
    """The settings of a run with what may change, after a check that nothing else does."""
    try:
        settings = Settings(**config["settings"])
    except TypeError as error:
        raise UserError(f"{folder} was written by another version of this program") from error
    for name, value in given.items():
        was = getattr(settings, name)
        if name == "epochs" and settings.lr_schedule != "constant" and value != was:
            raise UserError(f"--epochs {value} contradicts {folder}, whose learning rates end at epoch {was}")
        if name not in ("epochs", "device", "cuda_graph", "data_dir", "figures") and value != was:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} {value} contradicts {folder}, which has {option} {was}")
    # What was chosen for the run is what it goes on with, whatever the choice would be today.
    chosen = {"dataset": config["data"]["name"]} if settings.dataset == "auto" else {}
    return Settings(**(asdict(settings) | chosen | given))


def _as_table(settings: Settings) -> str:
    rows = (f"| {name} | {value} |" for name, value in asdict(settings).items() if value is not None)
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])


def _config(settings: Settings, setup: Setup) -> dict:
    dataset, device = setup
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
            "name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": sys.argv,
    }
