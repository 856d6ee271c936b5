"""The project as a user installs it: `pip install`, then commands and imports from a folder that holds nothing."""

import os
import re
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

# What pip has recorded, and where the package is imported from.
INSTALLED = """
import importlib.metadata as metadata

import d2l_softmax
from d2l_softmax import softmax, train_epoch

print(metadata.version("d2l_softmax"), d2l_softmax.__version__)
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


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project as a git repository, because building leaves files where the sources are."""
    copy = tmp_path_factory.mktemp("sources") / "project"
    copy.mkdir()
    for name in ("d2l_softmax", "tests", "benchmarks", "examples"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE", "train.py", "predict.py"):
        shutil.copy(ROOT / name, copy)
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost")
    output(*git, "init", "--quiet", cwd=copy)
    output(*git, "add", ".", cwd=copy)
    output(*git, "commit", "--quiet", "--no-gpg-sign", "--message", "All of it", cwd=copy)
    return copy


@pytest.fixture
def programs(tmp_path_factory) -> Path:
    """The folder of the programs of a new environment, which finds everything else in this one's packages."""
    environment = tmp_path_factory.mktemp("new") / "environment"
    output(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment.parent)
    programs = environment / "bin"
    where = "import sysconfig; print(sysconfig.get_path('purelib'), end='')"
    packages = Path(output(programs / "python", "-c", where, cwd=environment))
    (packages / "outer.pth").write_text(sysconfig.get_path("purelib"))
    return programs


@pytest.mark.parametrize("source", ["--editable={path}", "git+{url}"])
def test_what_pip_installs_works_in_any_folder(source, project, programs, tmp_path):
    # Neither torch nor setuptools is downloaded: they are found in the environment of the tests.
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet")
    source = source.format(path=project, url=project.as_uri())
    output(programs / "python", "-m", "pip", "install", *offline, source, cwd=tmp_path)

    versions, requirements, files, path = output(programs / "python", "-c", INSTALLED, cwd=tmp_path).splitlines()
    version = d2l_softmax.__version__
    assert versions == f"{version} {version}"
    assert requirements.split() == sorted((ROOT / "requirements.txt").read_text().split())
    if source.startswith("--editable"):
        assert Path(path).is_relative_to(project)
    else:
        assert files.split() == ["d2l_softmax", f"d2l_softmax-{version}.dist-info"]
        assert Path(path).is_relative_to(programs.parent)

    for command in ("d2l-softmax", "d2l-softmax-predict"):
        assert output(programs / command, "--help", cwd=tmp_path).startswith("usage: ")
    assert not any(tmp_path.iterdir())
    trained = output(
        *(programs / "d2l-softmax", "--dataset", "digits", "--epochs", "1", "--no-figures", "--device", "cpu"),
        cwd=tmp_path,
    )
    assert re.search(r"^after epoch 1: train loss \d", trained, re.M)
    assert "of the first 10 test images" in output(programs / "d2l-softmax-predict", cwd=tmp_path)


def test_the_version_needs_no_torch():
    code = "import sys, d2l_softmax; print(d2l_softmax.__version__, 'torch' in sys.modules)"
    assert output(sys.executable, "-c", code, cwd=ROOT) == f"{d2l_softmax.__version__} False\n"
