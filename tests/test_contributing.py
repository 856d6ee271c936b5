"""Everything that CONTRIBUTING.md shows, carried out from top to bottom in a copy of the project."""

import csv
import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.processes import PATIENCE

pytestmark = pytest.mark.slow

# All commands in one process, which imports PyTorch once: `python FILE …` or `pytest …`.
DRIVER = """
import json, runpy, shlex, sys

import pytest

for command in json.loads(sys.argv[1]):
    program, *arguments = shlex.split(command)
    if program == "pytest":
        status = pytest.main(arguments)
    else:
        assert program == "python", command
        sys.argv = arguments + ["--no-figures"] * (arguments[0] == "train.py")
        try:
            runpy.run_path(arguments[0], run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code
    # The file has a mistake, and the probe finds nothing wrong with its softmax.
    assert status == (1 if arguments[0] == "check.py" else 0), (command, status)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The copy, after all that is shown."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("d2l_softmax", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "check.py", "pyproject.toml", "examples/mine.py"):
        shutil.copy(ROOT / name, copy)
    commands = []
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S):
        if kind == "python":
            path, code = re.fullmatch(r"# (\S+)\n(.*)", block, re.S).groups()
            (copy / path).write_text(code)
        elif kind == "diff":
            subprocess.run(["git", "apply", "--unidiff-zero", "-"], cwd=copy, input=block, text=True, check=True)
        else:
            assert not kind
            commands += block.splitlines()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(commands)],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, \d+ deselected", done.stdout, re.M), done.stdout
    return copy


def losses(folder):
    with (folder / "metrics.csv").open() as file:
        return [float(row["test_loss"]) for row in csv.DictReader(file)]


def test_the_mode_trains_as_scratch_does(project):
    (alone,) = project.glob("runs/digits-functional-*")
    (compared,) = project.glob("runs/digits-compare-*")
    assert json.loads((alone / "config.json").read_text())["settings"]["mode"] == "functional"
    assert losses(alone) == losses(compared / "functional")
    assert losses(alone) == pytest.approx(losses(compared / "scratch"), abs=1e-6)
    assert losses(alone)[-1] < losses(alone)[0] < 2.3


def test_the_probe_says_what_it_found(project):
    done = subprocess.run([sys.executable, "check.py", "mine.py"], cwd=project, capture_output=True, text=True)
    assert "of any number of classes" in done.stdout


def test_the_data_set_can_be_learned(project):
    (run,) = project.glob("runs/rows-scratch-*")
    data = json.loads((run / "config.json").read_text())["data"]
    assert [data[name] for name in ("train_images", "test_images", "height", "width")] == [960, 240, 8, 8]
    assert data["classes"] == [f"row {i}" for i in range(8)]
    with (run / "metrics.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["test_accuracy"]) > 0.99
