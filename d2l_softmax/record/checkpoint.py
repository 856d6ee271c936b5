"""What is kept of a run so that it can be resumed and used: one file, replaced whole after every epoch."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from d2l_softmax.errors import reading
from d2l_softmax.metrics import EpochResult
from d2l_softmax.record.run_folder import replace

CHECKPOINT = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Keep the state after the last epoch, of tensors, numbers and texts; `history` has the figures of all epochs."""
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
