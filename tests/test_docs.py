"""What the documents say is so: commands run, snippets and figures are those of their files, links lead somewhere.

A command of a kind that is not known here fails, and is then to be added here.
"""

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import d2l_softmax
from d2l_softmax import BatchIterator, load_dataset
from d2l_softmax.commands import check, predict, train
from tests.conftest import ROOT

FILES = [path for folder in ("", "docs", "benchmarks") for path in (ROOT / folder).glob("*.md")]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
README = PAGES["README.md"]
RESULTS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "benchmarks" / "results").glob("*.json")}
ROWS = [row for row in RESULTS["reproduce"]["rows"] if row["verdict"]]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)

# Given after the settings of a command, so that it does not take long.
SMALL = ["--dataset", "digits", "--epochs", "3", "--validation", "100", "--no-figures"]


def commands(text):
    """Every command of the fenced blocks without a language."""
    lines = [line for language, block in FENCE.findall(text) if not language for line in block.splitlines()]
    return [part.split("#")[0].strip() for line in lines for part in line.split("&&")]


def table(text, corner):
    """The cells of the table whose first cell is `corner`, row by row, without the line below the titles."""
    titles, _, *rows = re.search(rf"^\| {corner} \|.*\n(\|.*\n)+", text, re.M)[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (titles, *rows)]


def links(text):
    """Path and heading of every link and picture inside the project."""
    plain = FENCE.sub("", text)
    return re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", plain) + re.findall(r'src="(?!http)([^"]+)()"', plain)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `runs/NAME` has been trained."""
    folder = tmp_path_factory.mktemp("work")
    assert train.main([*SMALL, "--logdir", str(folder / "runs"), "--run-name", "NAME"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", dict.fromkeys(commands(README) + commands(PAGES["benchmarks/README.md"])))
def test_every_command_runs(command, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    match shlex.split(command):
        case ["python", "check.py", file]:
            monkeypatch.delenv("COLUMNS", raising=False)
            assert check.main([str(ROOT / file)]) == 1
            assert f"```text\n{capsys.readouterr().out}```" in README
        case ["python", "train.py", *arguments]:
            for i, name in enumerate("abcabcabcabc"):
                Path("FOLDER", name).mkdir(parents=True, exist_ok=True)
                Image.new("L", (9, 9), 20 * i).save(f"FOLDER/{name}/{i}.png")
            small = [*SMALL[2:4], *SMALL[6:]] if "FOLDER" in arguments else SMALL
            assert train.main([*arguments, *([] if "--resume" in arguments else small)]) == 0
            assert "the run: " in capsys.readouterr().out
        case ["python", "predict.py", *arguments]:
            Image.new("L", (28, 28), "white").save("shirt.png")
            assert predict.main(arguments) == 0
            assert "probability" in capsys.readouterr().out
        case ["python", "-m", module, *arguments] if module.startswith("benchmarks."):
            monkeypatch.delitem(sys.modules, module, raising=False)
            monkeypatch.setattr(sys, "argv", [module, "--help"])
            with pytest.raises(SystemExit, match="0"):
                runpy.run_module(module, run_name="__main__")
            options = {argument for argument in arguments if argument.startswith("-")}
            assert options <= set(re.findall(r"[\w-]+", capsys.readouterr().out))
        case ["tensorboard", "--logdir", "runs"] | ["python3", "-m", "venv", _]:
            pass  # another test asks a TensorBoard server
        case ["pip" | "ruff" | "pytest" | "source", *_]:
            pass  # what sets up the environment, and the tests themselves
        case _:
            pytest.fail(f"how to try this command is not known: {command}")


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for language, block in FENCE.findall(README) if language == "python"])
def test_the_library_code_trains(block, monkeypatch, capsys):
    digits = load_dataset("digits", resize=28)

    def load_digits(batch_size):
        place = {"divisor": digits.max_value, "device": torch.device("cpu")}
        train_iter = BatchIterator(digits.train_images, digits.train_labels, batch_size, seed=326, **place)
        return train_iter, BatchIterator(digits.test_images, digits.test_labels, batch_size, **place)

    monkeypatch.setattr(d2l_softmax, "load_data_fashion_mnist", load_digits)
    exec(compile(block, "README.md", "exec"), {})
    first, *_, last = capsys.readouterr().out.splitlines()
    first_accuracy, accuracy = (float(re.findall(r"0\.\d+", line)[-1]) for line in (first, last))
    assert first_accuracy < accuracy > 0.9


def test_the_algorithm_has_all_steps_and_its_snippets_stand_in_their_files():
    titles, *steps = table(README, "formula")
    names = [re.match(r"\*\*(\w+)\*\*: .*[=←]", step[0])[1] for step in steps]
    assert names == ["logits", "softmax", "loss", "gradient", "update"]
    loop = (ROOT / "d2l_softmax" / "training.py").read_text()
    for _, *code in steps:
        for title, cell in zip(titles[1:], code, strict=True):
            source = (ROOT / links(title)[0][0]).read_text()
            snippets = re.findall("`(.+?)`", cell)
            assert snippets or cell in ("within the loss", "as in scratch")
            assert [snippet for snippet in snippets if snippet not in source and snippet not in loop] == []


def test_the_published_runs_are_those_of_the_results():
    def here(row):
        return f"{row['mean']:#.4g}" + (f" ± {row['sd']:.1g}" if row["sd"] is not None else "")

    expected = [[row["experiment"], row["figure"], row["published"], here(row), row["verdict"]] for row in ROWS]
    published = table(PAGES["docs/results.md"], "run")[1:]
    assert published + table(PAGES["docs/results.md"], "aim")[1:] == expected
    reached, better, worse = ([row[-1] for row in published].count(word) for word in ("reached", "better", "worse"))
    assert not worse
    assert f"Of {len(published)} published figures, {reached} are reached and {better} is better here" in README


@pytest.mark.parametrize(
    ("result", "heading", "others"),
    [("speed", "one epoch with evaluation", ("NumPy", "floor")), ("speed-cuda", "one epoch on the GPU", ())],
)
def test_the_speeds_are_those_of_the_results(result, heading, others):
    seconds = RESULTS[result]["seconds"]
    names = ("manual", "scratch", "concise", "textbook", "TensorDataset", *others)
    _, shown, ratios = table(PAGES["docs/results.md"], heading)
    assert shown[1:] == [f"{seconds[name]:.3f}" for name in names]
    assert ratios[1:] == [f"{seconds['textbook'] / seconds[name]:.0f}×" for name in names]


def test_results_say_where_they_were_measured():
    for result in RESULTS.values():
        assert set(result["machine"]) >= {"cpu", "cores", "threads"}
        assert set(result["versions"]) >= {"python", "torch"}
        assert result["date"]


def test_the_readme_is_short():
    assert README.split("## Documentation")[0].count("\n") <= 110


@pytest.mark.parametrize("name", ["README", "docs/mistakes"])
def test_a_chinese_page_has_the_same_code_figures_pictures_and_structure(name):
    english, chinese = PAGES[f"{name}.md"], PAGES[f"{name}.zh-CN.md"]
    for find in (
        lambda text: [re.sub("#.*", "#", block) for _, block in FENCE.findall(text)],
        lambda text: re.findall(r"^#+ |^\|(?=.*\|$)|^- ", FENCE.sub("", text), re.M),
        lambda text: sorted(re.findall(r"`[^`\n]+`", FENCE.sub("", text))),
        lambda text: sorted(re.findall(r"(?<![A-Za-z])\d+(?:[.,]\d+)*", FENCE.sub("", text))),
        lambda text: sorted(path for path, _ in links(text) if not re.search(r"(README|mistakes)\S*\.md", path)),
        lambda text: sorted(re.findall(r"\]\((https://[^)]*)", text)),
    ):
        assert find(chinese) == find(english)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for path, heading in links(PAGES[page]):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
