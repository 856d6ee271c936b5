"""Which device to compute on."""

import re
import warnings

import torch

from d2l_softmax.errors import UserError


def try_gpu(i: int = 0) -> torch.device:
    """Return GPU number `i` if it exists, otherwise the CPU."""
    return torch.device("cuda", i) if i < torch.cuda.device_count() else torch.device("cpu")


def resolve_device(name: str) -> torch.device:
    """Turn the name of a device, as given to `--device`, into a device that exists.

    `auto` is the first GPU (CUDA, then Apple's MPS) or else the CPU. Plain `cuda` without a GPU warns and returns the
    CPU; every other name means exactly what it says.

    Raises:
        UserError: the name is unknown, or the device does not exist on this machine.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available() and not torch.cuda.is_available()
        return torch.device("mps") if mps else try_gpu()
    if name == "cuda":
        if not torch.cuda.is_available():
            warnings.warn("no CUDA device is available: training on the CPU instead", stacklevel=2)
        return try_gpu()
    if not re.fullmatch(r"cpu|mps|cuda:(0|[1-9][0-9]{0,3})", name):
        raise UserError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count()
    absent = name == "mps" and not torch.backends.mps.is_available()
    if absent or (name.startswith("cuda:") and int(name[5:]) >= count):
        raise UserError(
            f"device '{name}' does not exist: this machine has {count} CUDA device(s); "
            "use --device cpu or --device auto"
        )
    return torch.device(name)
