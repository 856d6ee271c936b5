"""Which device a name means, on machines with and without GPUs, and with how many threads the CPU computes."""

import os
import subprocess
import sys
import warnings

import pytest
import torch

from d2l_softmax import device
from d2l_softmax.device import ThreadChoice, resolve_device, try_gpu
from d2l_softmax.errors import UserError
from tests.conftest import ROOT


@pytest.fixture
def machine(monkeypatch):
    """Make PyTorch see a number of CUDA devices, and Apple's or not."""

    def with_devices(gpus: int, mps: bool = False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    # Where a warning is not expected, it is an error.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield with_devices


def test_try_gpu_is_that_gpu_or_the_cpu_and_the_first_by_default(machine):
    for gpus, expected in enumerate((["cpu", "cpu"], ["cuda:0", "cpu"], ["cuda:0", "cuda:1"])):
        machine(gpus)
        assert [str(try_gpu(i)) for i in range(2)] == expected
        assert str(try_gpu()) == expected[0]


def test_a_name_means_a_device_that_exists(machine):
    for gpus, mps, expected in (
        (0, False, {"auto": "cpu", "cpu": "cpu"}),
        (0, True, {"auto": "mps", "cpu": "cpu", "mps": "mps"}),
        (2, False, {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:0": "cuda:0", "cuda:1": "cuda:1"}),
        (12, True, {"auto": "cuda:0", "cpu": "cpu", "cuda:11": "cuda:11", "mps": "mps"}),
    ):
        machine(gpus, mps)
        assert {name: str(resolve_device(name)) for name in expected} == expected


@pytest.mark.parametrize("mps", [False, True])
def test_plain_cuda_without_a_gpu_warns_and_is_the_cpu(machine, mps):
    machine(0, mps)
    with pytest.warns(UserWarning, match="CUDA") as warned:
        assert resolve_device("cuda") == torch.device("cpu")
    assert [(warning.filename, "\n" in str(warning.message)) for warning in warned] == [(__file__, False)]


@pytest.mark.parametrize(("gpus", "name"), [(0, "cuda:0"), (0, "cuda:7"), (2, "cuda:2"), (0, "mps"), (2, "mps")])
def test_a_device_that_does_not_exist_is_an_error(machine, gpus, name):
    machine(gpus)
    with pytest.raises(UserError, match=rf"^device '{name}' does not exist: .* {gpus} CUDA .*$"):
        resolve_device(name)


WORDS = ["", "1", "gpu", "tpu", "CPU", "Cuda", "cpu:0", "cuda 1"]
NUMBERS = ["", "-1", "x", "1.0", "0,1", "01", "00", "\N{ARABIC-INDIC DIGIT ONE}", "9999999999", "9" * 5000]


def test_an_unknown_name_is_an_error(machine):
    machine(2)
    for name in [*WORDS, *(f"cuda:{number}" for number in NUMBERS)]:
        with pytest.raises(UserError, match=rf"^unknown device '{name}': .*$"):
            resolve_device(name)


class Machine:
    """A clock and PyTorch's number of threads, on which work takes as long as `seconds` says of that number."""

    def __init__(self, monkeypatch, seconds: dict[int, float], cores: float = 2.0):
        self.seconds, self.cores, self.threads, self.wall, self.cpu = seconds, cores, 2, 0.0, 0.0
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda threads: setattr(self, "threads", threads))
        monkeypatch.setattr(device.time, "perf_counter", lambda: self.wall)
        monkeypatch.setattr(device.time, "thread_time", lambda: self.cpu)
        for name in ThreadChoice.USER_SETTINGS:
            monkeypatch.delenv(name, raising=False)

    def work(self, choice: ThreadChoice, stretches: int) -> list[int]:
        """Do so much work and return the number of threads of each stretch."""
        used = []
        for _ in range(stretches):
            choice.next()
            used.append(self.threads)
            self.wall += self.seconds[self.threads]
            self.cpu += self.seconds[self.threads] * min(1, self.cores)
        choice.stop()
        return used


def test_the_faster_number_of_threads_is_used_and_found_again_when_the_machine_changes(monkeypatch):
    machine = Machine(monkeypatch, {1: 1.2, 2: 1.0})
    choice = ThreadChoice(torch.device("cpu"))
    assert machine.work(choice, 1000).count(1) < 50
    machine.seconds, machine.cores = {1: 2.4, 2: 100.0}, 0.5  # two other programs begin
    used = machine.work(choice, 1000)
    assert used.count(2) <= 3
    machine.seconds, machine.cores = {1: 1.2, 2: 1.0}, 2.0  # and end
    assert machine.work(choice, 3000).count(2) > 1500
    assert machine.threads == 2


@pytest.mark.parametrize("setting", [*ThreadChoice.USER_SETTINGS, "cuda"])
def test_the_number_of_threads_that_a_user_has_set_is_left_alone(monkeypatch, setting):
    machine = Machine(monkeypatch, {1: 1.0, 2: 100.0})
    if setting != "cuda":
        monkeypatch.setenv(setting, "2")
    choice = ThreadChoice(torch.device("cuda" if setting == "cuda" else "cpu"))
    assert machine.work(choice, 100) == [2] * 100


def test_an_epoch_has_the_same_bits_with_one_thread_and_with_two():
    code = (
        "import sys, torch; torch.set_num_threads(int(sys.argv[1]))\n"
        "from d2l_softmax import MODES, BatchIterator, train_epoch\n"
        "g = torch.Generator().manual_seed(0)\n"
        "images = torch.randint(0, 256, (3000, 1, 28, 28), generator=g).to(torch.uint8)\n"
        "for build in MODES.values():\n"
        "    learner = build(784, 10, lr=0.1, generator=torch.Generator().manual_seed(1))\n"
        "    batches = BatchIterator(images, torch.arange(3000) % 10, 256, seed=2)\n"
        "    train_epoch(learner.net, batches, learner.loss, learner.updater, learner.backward)\n"
        "    print(learner.W.detach().double().sum().item().hex(), learner.b.detach().tolist())\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    commands = [[sys.executable, "-c", code, threads] for threads in "12"]
    one, two = (subprocess.check_output(c, cwd=ROOT, env=environment, timeout=100) for c in commands)
    assert one == two
