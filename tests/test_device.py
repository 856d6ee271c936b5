"""Which device a name means, on machines with and without GPUs, and with how many threads the CPU computes."""

import contextlib

import pytest
import torch

from d2l_softmax.device import SMALL_STEP, resolve_device, threads, try_gpu
from d2l_softmax.errors import UserError

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


@pytest.fixture
def machine(monkeypatch):
    """Make PyTorch see a number of CUDA devices, and Apple's or not."""

    def with_devices(gpus: int, mps: bool = False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return with_devices


@pytest.fixture
def three_threads():
    """Let PyTorch have three threads, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("gpus", "mps", "expected"),
    [
        (0, False, {"auto": "cpu", "cpu": "cpu"}),
        (0, True, {"auto": "mps", "cpu": "cpu", "mps": "mps"}),
        (2, False, {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:0": "cuda:0", "cuda:1": "cuda:1"}),
        (12, True, {"auto": "cuda:0", "cpu": "cpu", "cuda:11": "cuda:11", "mps": "mps"}),
    ],
)
def test_a_name_means_a_device_that_exists(machine, gpus, mps, expected):
    machine(gpus, mps)
    assert {name: str(resolve_device(name)) for name in expected} == expected
    assert [str(try_gpu(i)) for i in range(2)] == [f"cuda:{i}" if i < gpus else "cpu" for i in range(2)]


def test_plain_cuda_without_a_gpu_warns_and_is_the_cpu(machine):
    machine(0, mps=True)
    with pytest.warns(UserWarning, match="no CUDA device"):
        assert resolve_device("cuda") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, "' does not exist: .* 2 CUDA device") for name in ("cuda:2", "mps", "xla")),
        *((name, "unknown device '.*': use auto, ") for name in ("", "1", "gpu", "CPU", "cuda 1", "cuda:-1")),
    ],
)
def test_another_name_is_an_error(machine, name, said):
    machine(2)
    with pytest.raises(UserError, match=said) as raised:
        resolve_device(name)
    assert f"'{name}'" in str(raised.value)


@pytest.mark.parametrize(
    ("device", "work", "variable", "expected"),
    [
        ("cpu", SMALL_STEP - 1, None, 1),
        ("cpu", SMALL_STEP, None, 3),
        ("cpu", 1, "OMP_NUM_THREADS", 3),
        ("cpu", 1, "MKL_NUM_THREADS", 3),
        ("cuda", 1, None, 3),
    ],
)
def test_small_steps_have_one_thread_and_the_number_is_restored(
    monkeypatch, three_threads, device, work, variable, expected
):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "3")
    with contextlib.suppress(KeyboardInterrupt), threads(torch.device(device), work):
        found = torch.get_num_threads()
        raise KeyboardInterrupt
    assert (found, torch.get_num_threads()) == (expected, 3)
