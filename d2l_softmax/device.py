"""Which device to compute on, and with how many threads."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from d2l_softmax.errors import UserError

# A step with less work than this runs on one thread. PyTorch's threads wait for each other by spinning, and where
# another program needs a core, the thread that is waited for does not run. Measured on 2026-11-25 in manual mode, on
# two cores of an AMD EPYC: a step of 256·784·10 takes 0.67 ms on one thread and 0.59 on two, but 2 and 78 ms beside
# two busy processes. One of 2048·784·10, just below this size, takes 4.5 and 2.8 ms, and 9 and 15 beside them.
SMALL_STEP = 2**24


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
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N or mps") from error
    counts = {"cpu": 1, "mps": int(torch.backends.mps.is_available()), "cuda": torch.cuda.device_count()}
    if (device.index or 0) >= counts.get(device.type, 0):
        raise UserError(
            f"device '{name}' does not exist: this machine has {counts['cuda']} CUDA device(s); "
            "use --device cpu or --device auto"
        )
    return device


@contextmanager
def threads(device: torch.device, work: int) -> Iterator[None]:
    """Compute on one thread in this block where a step is small, and on PyTorch's own number of threads otherwise.

    The number is restored afterwards. Where the environment sets `OMP_NUM_THREADS` or `MKL_NUM_THREADS`, and on a
    GPU, it stays as it is. On some processors the last bits of a matrix product depend on it.

    Args:
        device: where the steps are computed.
        work: batch size × pixels × classes of a step; it is small below `SMALL_STEP`.
    """
    before = torch.get_num_threads()
    by_user = "OMP_NUM_THREADS" in os.environ or "MKL_NUM_THREADS" in os.environ
    if device.type == "cpu" and work < SMALL_STEP and not by_user:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
