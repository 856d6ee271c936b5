"""What tests share."""

import functools
import os
import sys
from pathlib import Path

# Threads that spin while they wait for one another cost the small models here several times what they gain, above all
# beside other processes. It must be set before PyTorch is imported, and holds for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from tests import runs


def pytest_configure(config):
    """Show the GPU to the tests that are for it alone: the others are of what every machine has."""
    if config.option.markexpr != "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def called_as_train(monkeypatch):
    """Let messages name the command as a user calls it, not pytest."""
    monkeypatch.setattr(sys, "argv", ["train.py"])


@pytest.fixture
def train(tmp_path):
    """A function that trains as `runs.train` does, in a folder of `tmp_path`, and returns the exit status."""
    return functools.partial(runs.train, tmp_path)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real Fashion-MNIST and MNIST: $D2L_SOFTMAX_DATA, or `data` in the project."""
    named = os.environ.get("D2L_SOFTMAX_DATA")
    folder = Path(named) if named else ROOT / "data"
    if named and not folder.is_dir():
        pytest.fail(f"D2L_SOFTMAX_DATA names {folder}, which is no folder")
    if not (folder / "FashionMNIST" / "raw").is_dir():
        pytest.skip("the real Fashion-MNIST is not here: name its folder in D2L_SOFTMAX_DATA")
    return folder


@pytest.fixture
def blobs():
    """Images and labels that a linear model can learn: uint8 (700, 1, 5, 4), 4 classes; 700 is no multiple of 64."""
    generator = torch.Generator().manual_seed(5)
    y = torch.randint(0, 4, (700,), generator=generator)
    centres = torch.randint(30, 220, (4, 1, 5, 4), generator=generator)
    noise = torch.randint(-30, 31, (700, 1, 5, 4), generator=generator)
    return (centres[y] + noise).to(torch.uint8), y
