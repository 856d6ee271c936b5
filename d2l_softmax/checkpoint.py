"""What is kept of a trained model, so that a reader never sees half of it."""

import os
from pathlib import Path

import torch

from d2l_softmax.learner import Learner
from d2l_softmax.training import EpochResult

CHECKPOINT = "checkpoint.pt"


class Checkpoints:
    """A listener that keeps the weights and the updater's state of the last epoch in `checkpoint.pt`."""

    def __init__(self, folder: Path, learner: Learner):
        self.path = folder / CHECKPOINT
        self.learner = learner

    def __call__(self, result: EpochResult) -> None:
        """Replace the checkpoint by one of this epoch."""
        state = {
            "epoch": result.epoch,
            "W": self.learner.W.contiguous().cpu(),
            "b": self.learner.b.cpu(),
            "updater": self.learner.updater.state_dict(),
        }
        _replace(self.path, state)


def _replace(path: Path, state: dict) -> None:
    """Write to a temporary file beside `path`, flush it to the disk and rename it over `path`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
