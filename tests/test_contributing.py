"""Everything that CONTRIBUTING.md shows, carried out from top to bottom in a copy of the project."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.processes import PATIENCE
from tests.runs import figures

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


def test_all_that_is_shown(tmp_path):
    for name in ("d2l_softmax", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "check.py", "pyproject.toml", "examples/mine.py"):
        shutil.copy(ROOT / name, tmp_path)
    commands = []
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S):
        if kind == "python":
            path, code = re.fullmatch(r"# (\S+)\n(.*)", block, re.S).groups()
            (tmp_path / path).write_text(code)
        elif kind == "diff":
            subprocess.run(["git", "apply", "--unidiff-zero", "-"], cwd=tmp_path, input=block, text=True, check=True)
        else:
            assert not kind
            commands += block.splitlines()
    driver = [sys.executable, "-c", DRIVER, json.dumps(commands)]
    done = subprocess.run(driver, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, \d+ deselected", done.stdout, re.M), done.stdout
    # The mode trains as scratch does.
    (alone,) = tmp_path.glob("runs/digits-functional-*")
    (compared,) = tmp_path.glob("runs/digits-compare-*")
    losses = [figures(run)[:, 3].tolist() for run in (alone, compared / "functional", compared / "scratch")]
    assert losses[0] == losses[1] == pytest.approx(losses[2], abs=1e-6)
    assert losses[0][-1] < losses[0][0] < 2.3
    # The probe says what it found.
    assert "of any number of classes" in done.stdout
    # The data set can be learned.
    (run,) = tmp_path.glob("runs/rows-scratch-*")
    data = json.loads((run / "config.json").read_text())["data"]
    assert [data[name] for name in ("train_images", "test_images", "height", "width")] == [960, 240, 8, 8]
    assert data["classes"] == [f"row {i}" for i in range(8)]
    assert figures(run)[-1, 4] > 0.99
