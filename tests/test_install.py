"""The project as a user installs it: `pip install`, then commands and imports from a folder that holds nothing."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import d2l_softmax
from tests.conftest import ROOT
from tests.processes import PATIENCE

pytestmark = pytest.mark.slow

# What pip has recorded, and where the package is imported from, without PyTorch.
INSTALLED = """
import importlib.metadata as metadata, sys

import d2l_softmax

print(metadata.version("d2l_softmax"), d2l_softmax.__version__, "torch" in sys.modules)
print(*sorted(metadata.requires("d2l_softmax")))
print(*sorted({file.parts[0] for file in metadata.files("d2l_softmax")} - {".."}))
print(d2l_softmax.__file__)
"""


def output(*command, cwd) -> str:
    """What a command prints on stdout; it must end with status 0."""
    # Without PYTHONPATH, which may lead to the checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path) -> Path:
    """A copy of the project, because building leaves files where the sources are."""
    for name in ("d2l_softmax", "tests", "benchmarks", "examples"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "train.py", "predict.py"):
        shutil.copy(ROOT / name, tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def programs(tmp_path) -> Path:
    """The folder of the programs of a new environment, which finds everything else in this one's packages."""
    output(sys.executable, "-m", "venv", "--without-pip", "environment", cwd=tmp_path)
    programs = tmp_path / "environment" / "bin"
    where = "import sysconfig; print(sysconfig.get_path('purelib'), end='')"
    packages = Path(output(programs / "python", "-c", where, cwd=tmp_path))
    (packages / "outer.pth").write_text(sysconfig.get_path("purelib"))
    return programs


def test_what_pip_installs_works_in_any_folder(project, programs, tmp_path):
    # Neither torch nor setuptools is downloaded: they are found in the environment of the tests.
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet")
    output(programs / "python", "-m", "pip", "install", *offline, ".", cwd=project)
    (folder := tmp_path / "empty").mkdir()
    recorded, requirements, files, path = output(programs / "python", "-c", INSTALLED, cwd=folder).splitlines()
    version = d2l_softmax.__version__
    assert recorded == f"{version} {version} False"
    assert requirements.split() == sorted((ROOT / "requirements.txt").read_text().split())
    assert files.split() == ["d2l_softmax", f"d2l_softmax-{version}.dist-info"]
    assert Path(path).is_relative_to(programs.parent)
    arguments = ("--dataset", "digits", "--epochs", "1", "--no-figures", "--device", "cpu")
    assert "after epoch 1: train loss " in output(programs / "d2l-softmax", *arguments, cwd=folder)
    assert "of the first 10 test images" in output(programs / "d2l-softmax-predict", cwd=folder)
    assert output(programs / "d2l-softmax-check", "--help", cwd=folder).startswith("usage: d2l-softmax-check ")
