"""The project as a user installs it: `pip install`, then commands and imports from a folder that holds nothing."""

import os
import shutil
import subprocess
import sys
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


def test_what_pip_installs_works_in_any_folder(tmp_path):
    # A copy, because building leaves files where the sources are.
    project, site, folder = (tmp_path / name for name in ("project", "site", "empty"))
    for name in ("d2l_softmax", "tests", "benchmarks", "examples"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "train.py", "predict.py"):
        shutil.copy(ROOT / name, project)
    folder.mkdir()

    def output(*command, cwd=folder):
        environment = os.environ | {"PYTHONPATH": str(site)}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # Neither torch nor setuptools is downloaded: they are found in the environment of the tests.
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--target", site)
    output(sys.executable, "-m", "pip", "install", *offline, ".", cwd=project)
    recorded, requirements, files, path = output(sys.executable, "-c", INSTALLED).splitlines()
    version = d2l_softmax.__version__
    assert recorded == f"{version} {version} False"
    assert requirements.split() == sorted((ROOT / "requirements.txt").read_text().split())
    assert files.split() == ["d2l_softmax", f"d2l_softmax-{version}.dist-info"]
    assert Path(path).is_relative_to(site)
    programs, arguments = site / "bin", ("--dataset", "digits", "--epochs", "1", "--no-figures", "--run-name", "one")
    assert "after epoch 1: train loss " in output(programs / "d2l-softmax", *arguments)
    assert "of the first 10 test images" in output(programs / "d2l-softmax-predict", "runs/one")
    assert output(programs / "d2l-softmax-check", "--help").startswith("usage: d2l-softmax-check ")
