"""What is kept of a run so that it can be resumed or used: never half-written, checked when it is read."""

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from d2l_softmax.errors import UserError
from d2l_softmax.record.files import replace
from d2l_softmax.training import EpochResult, Learner

LAST, PREVIOUS = "checkpoint.pt", "checkpoint-previous.pt"

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


def save(folder: Path, learner: Learner, generator: torch.Generator, history: list[EpochResult]) -> None:
    """Keep the state after the last epoch in `checkpoint.pt`, and the one before it in `checkpoint-previous.pt`.

    Args:
        folder: the run's.
        learner, generator: whose state is kept; the generator is that of the training order.
        history: the results of all epochs, first to last.
    """
    state = {
        "epoch": history[-1].epoch,
        "W": learner.W.contiguous().cpu(),
        "b": learner.b.clone().cpu(),
        "updater": learner.updater.state_dict(),
        "order": generator.get_state(),
        "random": torch.get_rng_state(),
        "history": [tuple(result) for result in history],
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    last = folder / LAST
    if last.exists():
        os.replace(last, folder / PREVIOUS)
    replace(last, buffer.getvalue())


def load_last(folder: Path) -> tuple[dict[str, Any], Path] | None:
    """Return the first of `load_good`, or None where there is none yet."""
    return next(iter(load_good(folder)), None)


def load_good(folder: Path) -> list[tuple[dict[str, Any], Path]]:
    """Read the checkpoints of a run that are not damaged, with their files, the last epoch first.

    A damaged one is passed over, with a warning, where there is another.

    Raises:
        UserError: there are checkpoints, and all are damaged.
    """
    good, damage = [], None
    for path in (folder / LAST, folder / PREVIOUS):
        if path.exists():
            try:
                good.append((load(path), path))
            except UserError as error:
                damage = error
    if damage is not None:
        if not good:
            raise damage
        warnings.warn(f"{damage}; using {good[0][1]}, after epoch {good[0][0]['epoch']}", stacklevel=2)
    return good


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, on the CPU, checking everything in it.

    No code in it is run, and a file that was cut short, changed, or made to grow in memory is refused.

    Raises:
        UserError: the file cannot be read or is not a complete checkpoint of this project.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a checkpoint: it is not a file")
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
        # Whatever zipfile, pickle or torch raise for bytes that are not a checkpoint.
        raise UserError(f"{path} is damaged or not a checkpoint ({type(error).__name__})") from error
    if not isinstance(state, dict) or any(not isinstance(state.get(k), kind) for k, kind in _CONTENT.items()):
        raise UserError(f"{path} is not a checkpoint of this project")
    return state


def restore(
    checkpoint: dict[str, Any], path: Path, learner: Learner, generator: torch.Generator
) -> tuple[EpochResult, ...]:
    """Put a learner and the generator of its order into the state of a checkpoint, and return the results so far.

    The one before the last becomes the last.

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
        history = tuple(EpochResult(*result) for result in checkpoint["history"])
        epochs = [result.epoch for result in history]
        if len(epochs) != checkpoint["epoch"] or epochs != list(range(1, len(epochs) + 1)):
            raise ValueError("its history is not that of its epochs")
        figures = [result[1:6] if None in result[6:] else result[1:] for result in history]
        if any(type(figure) is not float for of_epoch in figures for figure in of_epoch):
            raise TypeError("its history has other figures than numbers")
        expected = _state_after_a_step(learner)
        # What is no tensor is as the settings say.
        updater = checkpoint["updater"] | {k: v for k, v in expected.items() if k == "param_groups"}
        if _layout(updater) != _layout(expected):
            raise ValueError("its updater is another one")
        learner.W.copy_(W)
        learner.b.copy_(b)
        learner.updater.load_state_dict(updater)
        generator.set_state(checkpoint["order"])
        torch.set_rng_state(checkpoint["random"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"the checkpoint in {path} is not one of this run ({error})") from error
    if path.name == PREVIOUS:
        last = path.parent / LAST
        try:
            last.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"cannot remove {last}, which is not a checkpoint: {error.strerror}") from error
    return history


def _state_after_a_step(learner: Learner) -> dict[str, Any]:
    """The state of the updater as any step leaves it. It may change the weights."""
    for p in learner.parameters():
        p.grad = torch.zeros_like(p)
    learner.updater.step()
    learner.updater.zero_grad()
    return learner.updater.state_dict()


def _layout(state: Any) -> Any:
    """The state of an updater with the shape, type and layout of each tensor in its place."""
    if isinstance(state, dict):
        return {name: _layout(value) for name, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [_layout(value) for value in state]
    return (state.shape, state.dtype, state.layout) if isinstance(state, torch.Tensor) else state
