"""What the README says is so: its commands run, its figures are those that were measured, its links lead somewhere.

A command or a table of figures that is not known here fails, and is then to be made known.
"""

import contextlib
import importlib.metadata
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import urllib.request
from dataclasses import fields

import pytest
from packaging.requirements import Requirement

import d2l_softmax
from benchmarks.published import EXPERIMENTS
from d2l_softmax import BatchIterator, load_dataset, predict
from d2l_softmax.cli import main
from d2l_softmax.settings import Settings
from tests.conftest import ROOT

README, CHINESE = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
RESULTS = ROOT / "benchmarks" / "results"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

# What stands for the settings of a command that would take long.
SMALL = {"--dataset": "digits", "--epochs": "3", "--validation": "100"}


def blocks(text, language):
    return [block for name, block in FENCE.findall(text) if name == language]


def commands(text):
    """Every command, of the fenced blocks and of the running text, in order and once."""
    inline = re.findall(r"`([^`]+)`", FENCE.sub("", text))
    lines = [line for block in blocks(text, "") for line in block.splitlines()]
    lines += [line for line in inline if re.match(r"(python3?|torchrun|tensorboard|pip) ", line)]
    return list(dict.fromkeys(" ".join(part.split()) for line in lines for part in line.split("&&")))


def tables(text):
    """Every table as rows of cells, the heading first."""
    found = re.findall(r"(?:^\|.*\|\n)+", FENCE.sub("", text), re.M)
    rows = ([[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()] for table in found)
    return [[row for row in table if not set("".join(row)) <= set("- :")] for table in rows]


def is_figure(cell):
    return re.fullmatch(r"[\d.,]+\s*[×%]?", cell) is not None


def shown_as(figure, cell):
    """A figure as the cell would show it, at the cell's precision."""
    decimals = len(re.sub(r"[^\d.]", "", cell).partition(".")[2])
    return f"{figure:.{decimals}f}" + ("×" if cell.endswith("×") else "")


# Commands.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `runs/NAME` has been trained."""
    folder = tmp_path_factory.mktemp("work")
    small = ["--dataset", "digits", "--epochs", "2", "--no-figures"]
    assert main([*small, "--logdir", str(folder / "runs"), "--run-name", "NAME"]) == 0
    return folder


def shrunk(arguments):
    """The same settings, on little data and for few epochs."""
    small = [SMALL.get(before, argument) for before, argument in zip(["", *arguments], arguments, strict=False)]
    options = () if "--resume" in arguments else ("--dataset", "--epochs")
    for option in options:
        small += [] if option in small else [option, SMALL[option]]
    return [*small, "--no-figures"]


def help_of(program):
    """What `--help` prints, of a call that must end with status 0."""
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as end:
        program()
    assert not end.value.code
    return out.getvalue()


def words(text):
    return set(re.findall(r"[\w-]+", text))


@pytest.mark.parametrize("command", commands(README))
def test_every_command_runs(command, trained, monkeypatch, capsys, pytestconfig):
    monkeypatch.chdir(trained)
    match shlex.split(re.sub(r"(^|\s)\.venv/bin/", r"\1", command).replace("python3", "python")):
        case ["python", "train.py", "--help"]:
            helped = help_of(lambda: main(["--help"]))
            assert all(field.name.replace("_", "-") in helped for field in fields(Settings))
        case ["python", "train.py", *arguments]:
            assert main(shrunk(arguments)) == 0
            assert "the run: " in capsys.readouterr().out
        case ["torchrun", *arguments]:
            at = arguments.index("train.py")
            torchrun = [sys.executable, "-m", "torch.distributed.run", *arguments[:at], str(ROOT / "train.py")]
            several = [*torchrun, *shrunk(arguments[at + 1 :]), "--device", "cpu"]
            subprocess.run(several, check=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
        case ["python", "-m", "d2l_softmax.predict", *arguments]:
            assert predict.main(arguments) == 0
            assert "digits" in capsys.readouterr().out
        case ["python", "-m", "benchmarks.speed" | "benchmarks.reproduce" | "tests.soak" as module, *arguments]:
            monkeypatch.delitem(sys.modules, module, raising=False)
            monkeypatch.setattr(sys, "argv", [module, "--help"])
            helped = help_of(lambda: runpy.run_module(module, run_name="__main__"))
            assert {argument for argument in arguments if argument.startswith("-")} <= words(helped)
        case ["tensorboard", *arguments]:
            from tensorboard import default, program

            board = program.TensorBoard(default.get_plugins())
            board.configure(["tensorboard", *arguments, "--port", "0"])
            with urllib.request.urlopen(f"{board.launch()}data/environment", timeout=60) as answer:
                assert json.load(answer)["data_location"] == "runs"
        case ["python", "-m", "venv", folder]:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        case ["pip", "install", *_, "-r", file]:
            # Nothing is installed here: what the file asks for is here already, except for benchmarks.
            for requirement in requirements(file):
                try:
                    version = importlib.metadata.version(requirement.name)
                except importlib.metadata.PackageNotFoundError:
                    assert file == "requirements-bench.txt", requirement
                else:
                    assert requirement.specifier.contains(version, prereleases=True), (requirement, version)
        case ["ruff", *arguments]:
            subprocess.run([sys.executable, "-m", "ruff", *arguments], check=True, cwd=ROOT)
        case ["pytest"]:
            assert pytestconfig.getini("testpaths") == ["tests"]
        case _:
            pytest.fail(f"how to try this command is not known: {command}")


def requirements(file):
    for line in (ROOT / file).read_text().splitlines():
        if line.startswith("-r "):
            yield from requirements(line[3:])
        else:
            yield Requirement(line)


@pytest.mark.parametrize("block", blocks(README, "python"))
def test_the_library_code_trains(block, monkeypatch, capsys):
    digits = load_dataset("digits", resize=28)

    def load_digits(batch_size):
        train = BatchIterator(digits.train_images, digits.train_labels, batch_size, seed=326, scale=digits.white)
        return train, BatchIterator(digits.test_images, digits.test_labels, batch_size, scale=digits.white)

    monkeypatch.setattr(d2l_softmax, "load_data_fashion_mnist", load_digits)
    exec(compile(block, "README.md", "exec"), {})
    first, *_, last = capsys.readouterr().out.splitlines()
    assert float(first.split()[-1]) < float(last.split()[-1]) > 0.9


def test_the_library_code_reaches_the_figures_of_the_table(real_data, tmp_path, monkeypatch, capsys):
    (tmp_path / "data").symlink_to(real_data.resolve())
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(README, "python")
    exec(compile(block, "README.md", "exec"), {})
    figures = [float(figure) for figure in re.findall(r"0\.\d+", capsys.readouterr().out.splitlines()[-1])]
    assert figures == pytest.approx([float(cell) for cell in row_of("concise, 10 epochs")], abs=1e-3)


# Figures.


def row_of(name):
    (row,) = (row[1:] for table in tables(README) for row in table if row[0] == name)
    return row


NAMES = ("speed", "reproduce", "process", "sweep", "sizes")
SPEED, REPRODUCE, PROCESS, SWEEP, SIZES = (json.loads((RESULTS / f"{name}.json").read_text()) for name in NAMES)
CONTESTANTS = {
    "textbook loop": "textbook",
    "`TensorDataset` in a `DataLoader`": "TensorDataset",
    "hand-written NumPy loop": "NumPy",
    "jitted JAX `lax.scan`": "JAX scan",
}


def reproduced(experiment, figure):
    (found,) = (r for r in REPRODUCE["rows"] if (r["experiment"], r["figure"]) == (experiment, figure))
    return found


# The other ratios, in the order in which they are shown.
RATIOS = [
    PROCESS["ratios"]["textbook ÷ train.py"],
    PROCESS["ratios"]["to the first epoch ÷ import torch"],
    *(SWEEP["modes"][mode]["ratios"]["together"]["one after another"] for mode in ("scratch", "concise", "manual")),
    SIZES["growth"][-1]["ratio"],
    SIZES["growth"][-1]["memory"],
]


def measured(heading, row, above):
    """What the results hold for each cell of a row but the first; `above` is the row over it."""
    if "train loss" in heading:
        if row[0] == "published":
            return [float(reproduced(above[0].split(",")[0], figure)["published"]) for figure in heading[1:]]
        experiment, epochs = re.fullmatch(r"(\w+), (\d+) epochs", row[0]).groups()
        settings = EXPERIMENTS[experiment].runs[""].settings
        assert (settings.epochs, settings.batch_size, settings.lr) == (int(epochs), 256, 0.1)
        return [reproduced(experiment, figure)["values"][0] for figure in heading[1:]]
    if heading[1:] == ["seconds an epoch", "as fast as the textbook loop"]:
        name, seconds = CONTESTANTS.get(row[0], row[0]), SPEED["seconds"]
        ratios = SPEED["ratios"].get(name, {})
        return [seconds[name], ratios.get("textbook", seconds["textbook"] / seconds[name])]
    if heading[1:] == ["ratio"]:
        (table,) = (table for table in tables(README) if table[0] == heading)
        assert len(table) == 1 + len(RATIOS)
        return [RATIOS[table.index(row) - 1]]
    pytest.fail(f"where the figures of this table come from is not known: {heading}")


@pytest.mark.parametrize(
    "table",
    [
        table
        for table in tables(README)
        if table[0][-1] != "verdict" and any(is_figure(cell) for row in table[1:] for cell in row)
    ],
)
def test_every_figure_of_a_table_is_in_the_results(table):
    heading, *rows = table
    for above, row in zip(table, rows, strict=False):
        assert row[1:] == list(map(shown_as, measured(heading, row, above), row[1:])), row


def test_the_figures_over_several_seeds_are_in_the_results():
    sentence = r"over (\d+) seeds the test accuracy after 10 epochs is (\d\.\d+) ± (\d\.\d+)"
    seeds, mean, spread = re.search(sentence, " ".join(README.split())).groups()
    found = reproduced("concise", "test accuracy")
    assert (int(seeds), mean, spread) == (
        len(found["values"]),
        shown_as(found["mean"], mean),
        shown_as(found["sd"], spread),
    )


def shown_claim(row):
    """A published figure as the README's table shows it."""
    spread = "" if row["sd"] is None else f" ± {row['sd']:.1g}"
    return [row["experiment"], row["figure"], row["published"], f"{row['mean']:#.4g}{spread}", row["verdict"]]


def test_every_published_figure_is_shown_with_its_verdict():
    (table,) = (table for table in tables(README) if table[0][-1] == "verdict")
    assert table[1:] == [shown_claim(row) for row in REPRODUCE["rows"] if row["verdict"]]
    (chinese,) = (table for table in tables(CHINESE) if table[0][-1] == "结论")
    assert [[row[0], row[3]] for row in chinese[1:]] == [[row[0], row[3]] for row in table[1:]]
    assert [row[4] == "达到" for row in chinese[1:]] == [row[4] == "reached" for row in table[1:]]
    (seconds,) = re.findall(r"runs them all in (\d+) seconds", README)
    assert seconds == f"{REPRODUCE['seconds']:.0f}"


@pytest.mark.parametrize("name", NAMES)
def test_results_say_where_they_were_measured(name):
    found = json.loads((RESULTS / f"{name}.json").read_text())
    assert set(found["machine"]) >= {"cpu", "cores", "threads"}
    assert {"python", "torch"} <= set(found["versions"])
    assert found["date"]


# The two languages, and the links.


def test_both_readmes_have_the_same_code_and_commands():
    assert FENCE.findall(CHINESE) == FENCE.findall(README)
    assert commands(CHINESE) == commands(README)


def test_both_readmes_have_the_same_figures():
    english, chinese = (
        [[cell for row in table for cell in row if is_figure(cell)] for table in tables(text)]
        for text in (README, CHINESE)
    )
    assert sum(map(len, english)) > 20
    assert chinese == english
    assert re.findall(r"[\d.]+ ± [\d.]*\d", CHINESE) == re.findall(r"[\d.]+ ± [\d.]*\d", README)
    assert [len(table) for table in tables(CHINESE)] == [len(table) for table in tables(README)]


def test_both_readmes_have_the_same_structure():
    def structure(text):
        text = FENCE.sub("", text)
        headings = [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]
        links = re.findall(r"\]\(([^)#]+)\)", text)
        return headings, [link for link in links if link not in ("README.md", "README.zh-CN.md")]

    assert structure(CHINESE) == structure(README)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"])
def test_links_lead_to_files_and_headings(name):
    links = re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)", FENCE.sub("", (ROOT / name).read_text()))
    assert links
    for path, heading in links:
        target = ROOT / (path or name)
        assert target.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
