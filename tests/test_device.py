"""Which device a name means, on machines with and without GPUs."""

import os
import warnings

import pytest
import torch

from d2l_softmax.device import physical_memory, resolve_device, try_gpu
from d2l_softmax.errors import UserError


@pytest.fixture(autouse=True)
def no_warnings():
    """Where a warning is not expected, it is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.fixture
def machine(monkeypatch):
    """Make PyTorch see a number of CUDA devices, and Apple's or not."""

    def with_devices(gpus: int, mps: bool = False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return with_devices


@pytest.mark.parametrize(
    ("gpus", "i", "expected"),
    [(0, 0, "cpu"), (0, 1, "cpu"), (1, 0, "cuda:0"), (1, 1, "cpu"), (2, 1, "cuda:1"), (2, 2, "cpu"), (2, 7, "cpu")],
)
def test_try_gpu_is_that_gpu_or_the_cpu(machine, gpus, i, expected):
    machine(gpus)
    assert try_gpu(i) == torch.device(expected)


def test_try_gpu_is_the_first_gpu_by_default(machine):
    machine(2)
    assert try_gpu() == torch.device("cuda:0")
    machine(0)
    assert try_gpu() == torch.device("cpu")


@pytest.mark.parametrize(
    ("gpus", "mps", "name", "expected"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "auto", "cuda:0"),
        (2, True, "auto", "cuda:0"),
        (0, False, "cpu", "cpu"),
        (2, True, "cpu", "cpu"),
        (2, False, "cuda", "cuda:0"),
        (1, False, "cuda:0", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (12, False, "cuda:11", "cuda:11"),
        (0, True, "mps", "mps"),
        (2, True, "mps", "mps"),
    ],
)
def test_name_of_a_device_that_exists(machine, gpus, mps, name, expected):
    machine(gpus, mps)
    assert resolve_device(name) == torch.device(expected)


@pytest.mark.parametrize("mps", [False, True])
def test_plain_cuda_without_a_gpu_warns_and_is_the_cpu(machine, mps):
    machine(0, mps)
    with pytest.warns(UserWarning, match="CUDA") as warned:
        assert resolve_device("cuda") == torch.device("cpu")
    assert len(warned) == 1
    assert len(str(warned[0].message).splitlines()) == 1
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("gpus", "name"),
    [
        (0, "cuda:0"),
        (0, "cuda:7"),
        (2, "cuda:2"),
        (2, "cuda:7"),
        (0, "mps"),
        (2, "mps"),
    ],
)
def test_device_that_does_not_exist_is_an_error(machine, gpus, name):
    machine(gpus)
    with pytest.raises(UserError) as error:
        resolve_device(name)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert f"'{name}' does not exist" in message
    assert f"has {gpus} CUDA" in message or name == "mps"


@pytest.mark.parametrize(
    "name", ["cuda:01", "cuda:00", "cuda:\N{ARABIC-INDIC DIGIT ONE}", "cuda:9999999999", f"cuda:{'9' * 5000}"]
)
def test_number_that_pytorch_would_not_read_is_an_error(machine, name):
    machine(2)
    with pytest.raises(UserError) as error:
        resolve_device(name)
    assert f"'{name}'" in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "CPU", "Cuda", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda:1.0", "cuda 1", "cuda:0,1", "tpu", "1"],
)
def test_unknown_name_is_an_error(machine, name):
    machine(2)
    with pytest.raises(UserError) as error:
        resolve_device(name)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert f"unknown device '{name}'" in message


def test_a_container_has_the_memory_it_may_use(tmp_path, monkeypatch):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (tmp_path / "limited").write_text("1000000\n")
    (tmp_path / "unlimited").write_text("max\n")
    for names, expected in ((["unlimited", "missing"], machine), (["missing", "limited"], 1_000_000)):
        monkeypatch.setattr("d2l_softmax.device._CONTAINER_LIMITS", [str(tmp_path / name) for name in names])
        assert physical_memory() == expected
