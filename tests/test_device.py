"""Which device a name means, on machines with and without GPUs."""

import warnings

import pytest
import torch

from d2l_softmax.device import resolve_device, try_gpu
from d2l_softmax.errors import UserError


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
