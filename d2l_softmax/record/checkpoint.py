"""What is kept of a run so that it can be resumed and used: one file, replaced whole after every epoch."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from d2l_softmax.errors import UserError, reading
from d2l_softmax.metrics import EpochResult
from d2l_softmax.record.run_folder import replace
from d2l_softmax.training import Learner

CHECKPOINT = "checkpoint.pt"


def save(
    folder: Path, learner: Learner, generator: torch.Generator, history: list[EpochResult], identity: dict
) -> None:
    """Keep the state after the last epoch.

    Args:
        folder: the run's.
        learner, generator: whose state is kept; the generator is that of the training order.
        history: the results of all epochs, first to last.
        identity: what tells this run from another one: settings and data.
    """
    state = {
        "identity": identity,
        "W": learner.W.contiguous().cpu(),
        "b": learner.b.clone().cpu(),
        "updater": learner.updater.state_dict(),
        "order": generator.get_state(),
        "random": torch.get_rng_state(),
        "history": [tuple(result) for result in history],
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace(folder / CHECKPOINT, buffer.getvalue())


def load(folder: Path) -> dict[str, Any] | None:
    """Read what `save` kept, on the CPU, or return None where there is nothing yet; no code in the file is run.

    Raises:
        UserError: the file cannot be read, or is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {bad} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["history"] = [EpochResult(*result) for result in state["history"]]
        return state


def restore(
    state: dict[str, Any], folder: Path, learner: Learner, generator: torch.Generator, identity: dict
) -> list[EpochResult]:
    """Put a learner and the generator of its order into a state, and return the results so far.

    Args:
        state: what `load` returned.
        folder: where it was.
        learner, generator, identity: as in `save`.

    Raises:
        UserError: the state is of another run.
    """
    with reading(folder / CHECKPOINT):
        if state["identity"] != identity:
            differ = [name for name, value in identity.items() if state["identity"].get(name) != value]
            raise UserError(f"{folder / CHECKPOINT} is of another run: they differ in {', '.join(differ)}")
        learner.W.copy_(state["W"])
        learner.b.copy_(state["b"])
        learner.updater.load_state_dict(state["updater"])
        generator.set_state(state["order"])
        torch.set_rng_state(state["random"])
        return state["history"]
