"""One run: built from its settings, trained, recorded in its folder, and continued from its checkpoint."""

import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import tqdm

from d2l_softmax.data.batches import BatchIterator, block_size
from d2l_softmax.data.datasets import Dataset, load_dataset, split
from d2l_softmax.device import resolve_device, threads
from d2l_softmax.errors import UserError, reading
from d2l_softmax.experiment import learner_file
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.initialisers import INITIALISERS
from d2l_softmax.metrics import EpochResult
from d2l_softmax.modes import MODES, is_own_file
from d2l_softmax.parallel import distributed, is_first
from d2l_softmax.record import checkpoint
from d2l_softmax.record.console import EpochTable
from d2l_softmax.record.recorder import SCORES, Recorder
from d2l_softmax.record.run_folder import create_run_folder, locked
from d2l_softmax.training import Learner


def run(settings: Settings) -> "Run":
    """Train as `settings` say, printing the table of epochs and filling a new folder.

    Raises:
        UserError: the settings ask for what this machine does not have, the data are damaged or unavailable, or the
            loss is no longer finite.
        OSError: the folder cannot be written.
    """
    distributed.connect()
    new = Run(settings, *data_and_device(settings))
    label = f"{new.dataset.name}-{Path(settings.mode).stem}"
    new.train(distributed.from_first(lambda: create_run_folder(settings.logdir, label, settings.run_name)))
    return new


def data_and_device(settings: Settings) -> tuple[Dataset, torch.device]:
    """Find what to train on, and where.

    Raises:
        UserError: the device does not exist, or the data are not available or are damaged.
    """
    device = distributed.local_device(resolve_device(settings.device))
    if device.type == "mps" and settings.dtype == "float64":
        raise UserError("--dtype float64 does not exist on MPS: use --device cpu or --dtype float32")
    return load_dataset(settings.dataset, settings.data_dir, settings.resize, settings.seed), device


def build_learner(settings: Settings, num_inputs: int, num_outputs: int, device: torch.device) -> Learner:
    """Build the learner of the mode."""
    build = partial(learner_file.build, settings.mode) if is_own_file(settings.mode) else MODES[settings.mode]
    with learner_file.mistakes_in(settings.mode):
        return build(
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


class Run:
    """A learner with its data, the results of its epochs and, while it is recorded, its folder.

    Args:
        settings: what to train.
        dataset, device: as `data_and_device` returns them.
        like: a run that sees the same batches, whose data iterators are used.

    Attributes:
        history: the results of all epochs so far.
        folder: where it is recorded; None before.
        interrupted: whether Ctrl-C has ended it early.

    Raises:
        UserError: the data are too few to hold so many images out.
    """

    def __init__(self, settings: Settings, dataset: Dataset, device: torch.device, like: "Run | None" = None):
        if settings.dataset == "auto":
            settings = replace(settings, dataset=dataset.name)  # that it stands for another one later changes nothing
        self.settings, self.dataset, self.device = settings, dataset, device
        mode = sha256(Path(settings.mode).read_bytes()).hexdigest() if is_own_file(settings.mode) else settings.mode
        self.identity = settings.identity() | {"mode": mode, "data": dataset.description["sha256"]}
        self.iterators = like.iterators if like is not None else self._make_iterators()
        torch.manual_seed(settings.seed)
        self.learner = build_learner(settings, dataset.num_inputs, len(dataset.classes), device)
        self.history: list[EpochResult] = []
        self.folder: Path | None = None
        self.recorder: Recorder | None = None
        self.interrupted = False

    @property
    def headline(self) -> str:
        """What is trained on which data and where."""
        data, held_out = self.dataset.description, self.settings.validation
        validation = f", {held_out} validation" if held_out else ""
        return (
            f"{data['name']}: {data['train_images'] - held_out} training{validation} and "
            f"{data['test_images']} test images of {data['height']}×{data['width']}, {len(data['classes'])} "
            f"classes; {self.device}, {self.settings.dtype}"
        )

    @property
    def is_complete(self) -> bool:
        """Whether it has all of its epochs and, unless it is to have none, all of its pictures."""
        drawn = not self.settings.figures or (self.folder / SCORES).exists()
        return len(self.history) >= self.settings.epochs and drawn

    def train(self, folder: Path) -> None:
        """Train up to the number of epochs of the settings, from where `folder` says that it stopped.

        Raises:
            UserError: another process is writing to the folder, its checkpoint is damaged, or the loss is no longer
                finite.
        """
        try:
            with self.recording(folder), learner_file.mistakes_in(self.settings.mode):
                if self.is_complete:
                    print(f"{folder} already has {len(self.history)} epochs: name more with --epochs to train on")
                    return
                print(f"{self.settings.mode} on {self.headline}", flush=True)
                table = EpochTable(bool(self.settings.validation))
                for result in self.epochs():
                    self.record(result)
                    table.add(result)
                if self.settings.figures:
                    print("drawing the pictures", flush=True)
                    self.draw()
            distributed.disconnect()
        except KeyboardInterrupt:
            self.interrupted = True

    @contextmanager
    def recording(self, folder: Path) -> Iterator[None]:
        """Record what is trained in the block, from the checkpoint on where there is one, on few or many threads.

        No other process may write to the folder meanwhile.
        """
        self.folder, first = folder, is_first()
        with ExitStack() as stack:
            if first:
                folder.mkdir(exist_ok=True)
                stack.enter_context(locked(folder))
            stack.enter_context(threads(self.device, self.settings.batch_size * self.learner.W.numel()))
            if (state := distributed.from_first(lambda: checkpoint.load(folder))) is not None:
                self.restore(state)
            if first and not self.is_complete:
                self.recorder = Recorder(folder, self._config(), self.history)
                stack.enter_context(self.recorder.writer)
            yield

    def epochs(self) -> Iterator[EpochResult]:
        """Train, one epoch whenever a result is asked for, up to the number of the settings."""
        begin, num_epochs = len(self.history) + 1, self.settings.epochs
        train_iter, *others = self.iterators.values()
        for epoch in range(begin, num_epochs + 1):
            self.set_learning_rate(epoch)
            # A bar on stderr, where that is a terminal and an epoch takes long.
            bar = {"unit": "batch", "leave": False, "delay": 0.5, "disable": None}
            batches = tqdm.tqdm(train_iter, f"epoch {epoch}/{num_epochs}", **bar)
            yield distributed.run_epoch(self.learner, epoch, batches, *others)

    def set_learning_rate(self, epoch: int) -> None:
        """Set the learning rate of an epoch."""
        for group in self.learner.updater.param_groups:
            group["lr"] = self.settings.learning_rate(epoch)

    def record(self, result: EpochResult) -> None:
        """Keep the result of an epoch.

        Raises:
            UserError: its loss is not finite; then nothing of the epoch is kept.
        """
        if not result.is_finite:
            own = f", and `python check.py {self.settings.mode}`" if is_own_file(self.settings.mode) else ""
            raise UserError(
                f"the loss is no longer finite in epoch {result.epoch}: {len(self.history)} epoch(s) and settings "
                f"are in {self.folder}; try a smaller --lr than {self.settings.lr:g}{own}"
            )
        self.history.append(result)
        if self.recorder is not None:
            self.recorder(result, self.state())

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs."""
        return {
            "identity": self.identity,
            "W": self.learner.W.contiguous().cpu(),
            "b": self.learner.b.clone().cpu(),
            "updater": self.learner.updater.state_dict(),
            "order": self.iterators["train"].generator.get_state(),
            "random": torch.get_rng_state(),
            "history": [tuple(result) for result in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint in the folder.

        Raises:
            UserError: it is damaged, or of another run.
        """
        with reading(path := self.folder / checkpoint.CHECKPOINT):
            if state["identity"] != self.identity:
                differ = [name for name, value in self.identity.items() if state["identity"].get(name) != value]
                raise UserError(f"{path} is of another run: they differ in {', '.join(differ)}")
            self.learner.W.copy_(state["W"])
            self.learner.b.copy_(state["b"])
            self.learner.updater.load_state_dict(state["updater"])
            self.iterators["train"].generator.set_state(state["order"])
            torch.set_rng_state(state["random"])
            self.history = state["history"]

    def draw(self) -> None:
        """Draw the pictures."""
        if self.recorder is not None:
            self.recorder.draw(self.learner, self.dataset, self.iterators["test"], self.history)

    def _config(self) -> dict:
        """Return the content of `config.json`: the settings, the data, and what it runs on."""
        on_gpu = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if on_gpu else platform.machine()
        return {
            "settings": asdict(self.settings),
            "data": self.dataset.description,
            "device": {"type": str(self.device), "name": name, "threads": torch.get_num_threads()},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": sys.argv,
        }

    def _make_iterators(self) -> dict[str, BatchIterator]:
        """Put the data on the device: the batches of `train`, `test` and, where there are any, `validation`."""
        settings, dtype = self.settings, getattr(torch, self.settings.dtype)
        place = {"divisor": settings.divisor(self.dataset.max_value), "device": self.device, "dtype": dtype}
        # Evaluation does not depend on the size of its batches, so it takes one that is fast.
        fast = block_size(self.dataset.test_images, dtype)
        splits = split(self.dataset, settings.validation, settings.seed)
        train = BatchIterator(*splits.pop("train"), settings.batch_size, seed=settings.seed, **place)
        return {"train": train, **{name: BatchIterator(*data, fast, **place) for name, data in splits.items()}}
