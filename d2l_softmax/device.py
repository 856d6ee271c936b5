"""Which device to compute on, and with how many threads."""

import os
import re
import time
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


class ThreadChoice:
    """Chooses between one thread and all of PyTorch's threads, whichever is faster at the moment, as work proceeds.

    PyTorch's threads wait for each other by spinning. Where another program needs a core, the thread that is waited
    for does not run, and a step of half a millisecond takes up to a hundred times as long. A single thread never
    waits. So each stretch of work is timed, and now and then the other choice is tried for one stretch, except that
    all threads are not tried while even one has to share its core. The results are the same to the last bit. Where
    the environment sets the number of threads or how they wait, that is left as it is.
    """

    USER_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    # Stretches until the other choice is tried: the first number, fourfold whenever it has lost, up to the last.
    FIRST_TRIAL, LAST_TRIAL = 8, 256

    def __init__(self, device: torch.device):
        self.most = torch.get_num_threads()
        by_user = any(name in os.environ for name in self.USER_SETTINGS)
        self.active = device.type == "cpu" and self.most > 1 and not by_user
        self.chosen = self.running = 1
        self.seconds: dict[int, float] = {}
        self.interval = self.until_trial = self.FIRST_TRIAL
        self.wall = self.cpu = 0.0
        self.started: tuple[float, float] | None = None

    def next(self) -> None:
        """End a stretch of work and begin another one like it."""
        if self.active:
            if self.started is not None:
                wall, cpu = self.started
                self._learn(time.perf_counter() - wall, time.thread_time() - cpu)
            torch.set_num_threads(self.running)
            self.started = time.perf_counter(), time.thread_time()

    def stop(self) -> None:
        """End the work: PyTorch has all its threads again."""
        if self.active:
            self.started = None
            torch.set_num_threads(self.most)

    def _learn(self, wall: float, cpu: float) -> None:
        """Choose for the next stretch, after one of so many seconds by the clock and of the processor."""
        other = self.most if self.chosen == 1 else 1
        tried = self.running != self.chosen
        self.seconds[self.running] = wall
        self.wall, self.cpu = self.wall + wall, self.cpu + cpu
        self.until_trial -= 1
        if tried or wall > 2 * self.seconds.get(other, wall):
            better = self.seconds[other] < self.seconds[self.chosen]
            if better:
                self.chosen, other = other, self.chosen
            self.interval = self.FIRST_TRIAL if better and tried else min(4 * self.interval, self.LAST_TRIAL)
            self._postpone()
        elif self.until_trial <= 0 and self.chosen == 1 and self.cpu < 0.9 * self.wall:
            self._postpone()
        self.running = self.chosen if self.until_trial > 0 else other

    def _postpone(self) -> None:
        self.until_trial, self.wall, self.cpu = self.interval, 0.0, 0.0
