"""What is kept of a run so that it can go on or be used: never half-written, checked when it is read."""

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from d2l_softmax.errors import UserError
from d2l_softmax.learner import Learner
from d2l_softmax.training import EpochResult

LAST, PREVIOUS, BEST = "checkpoint.pt", "checkpoint-previous.pt", "best.pt"

# What a checkpoint holds, and of which type; all of it can be loaded with `weights_only=True`.
_CONTENT = {
    "epoch": int,
    "W": torch.Tensor,
    "b": torch.Tensor,
    "updater": dict,
    "order": torch.Tensor,
    "random": torch.Tensor,
    "history": list,
}


class Checkpoints:
    """A listener that keeps the last epoch in `checkpoint.pt`, the one before it, and the best in `best.pt`.

    The best has the lowest validation loss or, without a validation set, the lowest training loss: choosing by the
    test set would flatter.

    Args:
        folder: the run's.
        learner, generator: whose state is kept; the generator is that of the training order.
        every: epochs between checkpoints. `flush` writes one that is due later.
        history: the epochs before, of a resumed run.
    """

    def __init__(
        self,
        folder: Path,
        learner: Learner,
        generator: torch.Generator,
        every: int = 1,
        history: list[EpochResult] | None = None,
    ):
        self.folder, self.learner, self.generator, self.every = folder, learner, generator, every
        self.history = list(history or [])
        self.best = min(map(_to_choose_by, self.history), default=float("inf"))
        self.pending: bytes | None = None

    def __call__(self, result: EpochResult) -> None:
        """Take the state after this epoch and write it if it is due."""
        self.history.append(result)
        self.pending = self._state(result.epoch)
        if _to_choose_by(result) < self.best:
            self.best = _to_choose_by(result)
            replace(self.folder / BEST, self.pending)
        if result.epoch % self.every == 0:
            self.flush()

    def flush(self) -> None:
        """Write the state after the last epoch, if it has not been written."""
        if self.pending is None:
            return
        last = self.folder / LAST
        if last.exists():
            os.replace(last, self.folder / PREVIOUS)
        replace(last, self.pending)
        self.pending = None

    def _state(self, epoch: int) -> bytes:
        state = {
            "epoch": epoch,
            "W": self.learner.W.contiguous().cpu(),
            "b": self.learner.b.clone().cpu(),
            "updater": self.learner.updater.state_dict(),
            "order": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "history": [tuple(result) for result in self.history],
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()


def _to_choose_by(result: EpochResult) -> float:
    return result.train_loss if result.validation_loss is None else result.validation_loss


def replace(path: Path, content: bytes) -> None:
    """Put `content` in place of the file, complete or not at all.

    It is written to a temporary file beside `path`, flushed to the disk and renamed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_last(folder: Path) -> tuple[dict[str, Any], Path] | None:
    """Read the last good checkpoint of a run and say which file that was; None where there is none yet.

    A last one that is damaged is left for the one before it, with a warning.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    damage = None
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            checkpoint = load(path)
        except UserError as error:
            damage = error
            continue
        if damage is not None:
            warnings.warn(f"{damage}; using {path}, after epoch {checkpoint['epoch']}", stacklevel=2)
        return checkpoint, path
    if damage is not None:
        raise damage
    return None


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, on the CPU, trusting nothing in it.

    No code in it is run, and a file that was cut short, changed, or made to grow in memory is refused.

    Raises:
        UserError: the file cannot be read or is no whole checkpoint of this project.
    """
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise UserError(f"{path} is not a checkpoint of this project")
            if (bad := archive.testzip()) is not None:
                raise UserError(f"{path} is damaged: the checksum of {bad} is wrong")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except Exception as error:
        # Whatever zipfile, pickle or torch make of bytes that are no checkpoint.
        raise UserError(f"{path} is damaged or not a checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict) or any(not isinstance(state.get(k), kind) for k, kind in _CONTENT.items()):
        raise UserError(f"{path} is not a checkpoint of this project")
    return state


def discard_remains(folder: Path, found: tuple[dict[str, Any], Path] | None) -> None:
    """Remove what a killed process left half-written, and a last checkpoint that was not the one `found`.

    A damaged one must not take the place of the good one before it.
    """
    if found is not None and found[1].name == PREVIOUS:
        (folder / LAST).unlink(missing_ok=True)
    for partial in folder.glob(".*.*.*"):
        partial.unlink()


def restore(checkpoint: dict[str, Any], learner: Learner, generator: torch.Generator, path: Path) -> None:
    """Put a learner and the generator of its order where the checkpoint left them.

    Raises:
        UserError: the checkpoint, from `path`, is of another model.
    """
    W, b = checkpoint["W"], checkpoint["b"]
    if W.shape != learner.W.shape or b.shape != learner.b.shape or W.dtype != learner.W.dtype:
        raise UserError(
            f"the checkpoint in {path} has weights {tuple(W.shape)} of {W.dtype}, but the run's are "
            f"{tuple(learner.W.shape)} of {learner.W.dtype}"
        )
    try:
        learner.W.copy_(W)
        learner.b.copy_(b)
        learner.updater.load_state_dict(checkpoint["updater"])
        generator.set_state(checkpoint["order"])
        torch.set_rng_state(checkpoint["random"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"the checkpoint in {path} is not one of this run ({error})") from error
