"""What the README says is so: its commands run, its figures are those that were measured, its links lead somewhere.

A command of a kind that is not known here fails, and is then to be added here.
"""

import json
import re
import runpy
import shlex
import subprocess
import sys
from decimal import Decimal

import pytest
import torch
from PIL import Image
from torch.utils._pytree import tree_leaves

import d2l_softmax
from d2l_softmax import BatchIterator, load_dataset
from d2l_softmax.commands import predict, train
from tests.conftest import ROOT
from tests.processes import PATIENCE

README, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
RESULTS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?"

# What takes the place of the settings of a command, which would take long, and of the names of runs.
SMALL = {"--dataset": "digits", "--epochs": "3", "--validation": "100", "--device": "cpu", "--resume": "runs/NAME"}


def commands(text):
    """Every command of the fenced blocks. Where lines begin with `$`, the others are what is printed."""
    found = []
    for language, block in FENCE.findall(text):
        if language in ("", "sh", "bash", "console"):
            lines = block.replace("\\\n", " ").splitlines()
            lines = [line[1:] for line in lines if line.startswith("$")] or lines
            found += [part for line in lines for part in line.split("&&") if shlex.split(part, comments=True)]
    return list(dict.fromkeys(" ".join(command.split()) for command in found))


def cells(text):
    """The cells of all tables, row by row."""
    return [row.split("|") for row in re.findall(r"^\|(.*)\|$", FENCE.sub("", text), re.M)]


def figures(text):
    """Means with their spreads, and in the cells of tables what has decimals, is a ratio or a percentage."""
    found = (re.fullmatch(rf" *({NUMBER}) ?([×%]?) *", cell) for row in cells(text) for cell in row)
    single = [match.groups() for match in found if match and ("." in match[1] or match[2])]
    return single + [(number, "") for pair in re.findall(rf"({NUMBER}) ± ({NUMBER})", text) for number in pair]


def links(text):
    """Path and heading of every link and picture inside the project."""
    plain = FENCE.sub("", text)
    return re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", plain) + re.findall(r'src="(?!http)([^"]+)()"', plain)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `runs/NAME` has been trained."""
    folder = tmp_path_factory.mktemp("work")
    small = ["--dataset", "digits", "--epochs", "2", "--no-figures", "--logdir", str(folder / "runs")]
    assert train.main([*small, "--run-name", "NAME"]) == 0
    return folder


def shrunk(arguments):
    """The same settings, on little data and for few epochs."""
    small = [SMALL.get(before, argument) for before, argument in zip(["", *arguments], arguments, strict=False)]
    options = () if "--resume" in arguments else ("--dataset", "--epochs")
    small += [part for option in options if option not in small for part in (option, SMALL[option])]
    return [argument for argument in small if argument != "--cuda-graph"] + ["--no-figures"]


@pytest.mark.slow
@pytest.mark.parametrize("command", commands(README))
def test_every_command_runs(command, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    match shlex.split(re.sub(r"(^|\s)\.venv/bin/", r"\1", command).replace("python3", "python"), comments=True):
        case ["python", "train.py", *arguments]:
            assert train.main(shrunk(arguments)) == 0
            assert "the run: " in capsys.readouterr().out
        case ["python", "predict.py", *arguments]:
            for path in arguments:
                if path.endswith((".png", ".jpg")):
                    Image.new("L", (28, 28)).save(path)
            assert predict.main(["runs/NAME" if path.startswith("runs/") else path for path in arguments]) == 0
            assert "probability" in capsys.readouterr().out
        case ["torchrun", *arguments]:
            at = arguments.index("train.py")
            several = [*arguments[:at], ROOT / "train.py", *shrunk(arguments[at + 1 :]), "--device", "cpu"]
            subprocess.run([sys.executable, "-m", "torch.distributed.run", *several], check=True, timeout=PATIENCE)
        case ["python", "-m", module, *arguments] if module.startswith(("benchmarks.", "tests.")):
            monkeypatch.delitem(sys.modules, module, raising=False)
            monkeypatch.setattr(sys, "argv", [module, "--help"])
            with pytest.raises(SystemExit, match="0"):
                runpy.run_module(module, run_name="__main__")
            options = {argument for argument in arguments if argument.startswith("-")}
            assert options <= set(re.findall(r"[\w-]+", capsys.readouterr().out))
        case ["tensorboard", *arguments]:
            from tensorboard import default, program

            board = program.TensorBoard(default.get_plugins())
            board.configure(["tensorboard", *arguments])
            assert board.flags.logdir == "runs"
        case [("pip" | "ruff" | "pytest" | "git" | "cd" | "source"), *_] | ["python", "-m", "venv", _]:
            pass  # what sets up the environment, and the tests themselves
        case _:
            pytest.fail(f"how to try this command is not known: {command}")


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for language, block in FENCE.findall(README) if language == "python"])
def test_the_library_code_trains(block, monkeypatch, capsys):
    digits = load_dataset("digits", resize=28)

    def load_digits(batch_size):
        place = {"scale": digits.max_value, "device": torch.device("cpu")}
        train_iter = BatchIterator(digits.train_images, digits.train_labels, batch_size, seed=326, **place)
        return train_iter, BatchIterator(digits.test_images, digits.test_labels, batch_size, **place)

    monkeypatch.setattr(d2l_softmax, "load_data_fashion_mnist", load_digits)
    exec(compile(block, "README.md", "exec"), {})
    first, *_, last = capsys.readouterr().out.splitlines()
    first_accuracy, accuracy = (float(re.findall(r"0\.\d+", line)[-1]) for line in (first, last))
    assert first_accuracy < accuracy > 0.9


def shows(number, value):
    """Whether a number is this value, rounded."""
    number = Decimal(number.replace(",", ""))
    return abs(Decimal(value) - number) <= Decimal(5).scaleb(number.as_tuple().exponent - 1)


def test_every_figure_of_a_table_is_in_the_results():
    seconds = RESULTS["speed"]["seconds"]
    ratios = [seconds["textbook"] / value for value in seconds.values()]
    measured = [Decimal(leaf) for leaf in tree_leaves([RESULTS, ratios]) if re.fullmatch(NUMBER, str(leaf))]
    assert figures(README)
    for number, sign in figures(README):
        assert any(shows(number, value * (100 if sign == "%" else 1)) for value in measured), number + sign


@pytest.mark.parametrize("name", RESULTS)
def test_results_say_where_they_were_measured(name):
    assert set(RESULTS[name]["machine"]) >= {"cpu", "cores", "threads"}
    assert set(RESULTS[name]["versions"]) >= {"python", "torch"}
    assert RESULTS[name]["date"]


def test_both_readmes_have_the_same_code_figures_pictures_and_structure():
    assert FENCE.findall(CHINESE) == FENCE.findall(README)
    assert figures(CHINESE) == figures(README)
    assert [len(row) for row in cells(CHINESE)] == [len(row) for row in cells(README)]
    headings = [re.findall(r"^#+ ", FENCE.sub("", text), re.M) for text in (CHINESE, README)]
    assert headings[0] == headings[1]
    targets = [[path for path, _ in links(text) if not path.startswith("README")] for text in (CHINESE, README)]
    assert targets[0] == targets[1]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_lead_to_files_and_headings(name):
    for path, heading in links((ROOT / name).read_text()):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
