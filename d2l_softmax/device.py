"""Which device to compute on, and how much memory this machine has."""

import math
import os
import re
import warnings
from contextlib import suppress
from pathlib import Path

import torch

from d2l_softmax.errors import UserError


def try_gpu(i: int = 0) -> torch.device:
    """Return GPU number `i` if it exists, otherwise the CPU."""
    return torch.device("cuda", i) if i < torch.cuda.device_count() else torch.device("cpu")


def resolve_device(name: str) -> torch.device:
    """Turn a device's name as a user writes it into a device that exists.

    `auto` is the first GPU (CUDA, then Apple's MPS) or else the CPU. Plain `cuda` without any GPU warns and gives the
    CPU; every other name means exactly what it says.

    Raises:
        UserError: the name is unknown, or the device it names does not exist here.
    """
    if name == "cpu":
        return torch.device("cpu")
    if name == "auto":
        if torch.cuda.is_available():
            return try_gpu()
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda":
        if not torch.cuda.is_available():
            warnings.warn("no CUDA device is available: training on the CPU instead", stacklevel=2)
        return try_gpu()
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UserError("device 'mps' does not exist on this machine: use --device cpu or --device auto")
        return torch.device("mps")
    if match := re.fullmatch(r"cuda:(0|[1-9][0-9]{0,3})", name):
        count = torch.cuda.device_count()
        if int(match[1]) >= count:
            raise UserError(
                f"device '{name}' does not exist: this machine has {count} CUDA device(s); "
                "use --device cpu or --device auto"
            )
        return torch.device(name)
    raise UserError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps")


# Where Linux says how much memory a container may use, in its two ways; `max` means all.
_CONTAINER_LIMITS = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]


def physical_memory() -> float:
    """Bytes of memory of this machine or, in a container, what it may use; infinity where the system does not say."""
    limits = [math.inf]
    with suppress(AttributeError, ValueError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    return min(limits)
