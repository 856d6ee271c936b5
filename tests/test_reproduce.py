import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import reproduce
from benchmarks.reproduce import CANDIDATES, CONVERGED, EXPERIMENTS, RESULTS, LineFit, Optimum, Row, Training
from d2l_softmax import BatchIterator, load_dataset
from d2l_softmax.download import DownloadError
from d2l_softmax.init import normal
from tests.idx_files import make_folder

VERDICTS = {"reached", "missed: below", "missed: above", "–"}


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """A data folder with a made-up Fashion-MNIST and MNIST."""
    folder = tmp_path_factory.mktemp("data")
    make_folder(folder / "FashionMNIST" / "raw", 300, 70, 10, 28, gz=False)
    make_folder(folder / "MNIST" / "raw", 300, 70, 10, 28, gz=False, seed=1)
    return folder


def small(task):
    if isinstance(task, Training):
        return replace(task, settings=replace(task.settings, epochs=2), steps=task.steps and 5)
    return replace(task, calls=2) if isinstance(task, Optimum) else task


@pytest.fixture
def small_experiments(monkeypatch):
    for name, experiment in EXPERIMENTS.items():
        tasks = {label: small(task) for label, task in experiment.tasks.items()}
        monkeypatch.setitem(EXPERIMENTS, name, experiment._replace(tasks=tasks))


def in_this_process(noise, *arguments):
    return reproduce.main(["--data-dir", str(noise), "--workers", "1", *map(str, arguments)])


def quietly(seconds):
    pass


def test_every_experiment_gives_its_rows(noise, small_experiments, tmp_path, capsys):
    threads = torch.get_num_threads()
    assert in_this_process(noise, "--seeds", 2, "--out", tmp_path) == 0
    assert torch.get_num_threads() == threads
    found = json.loads((tmp_path / "reproduce.json").read_text(encoding="utf-8"))
    rows = [Row(**row) for row in found["rows"]]
    assert {row.experiment for row in rows} == set(EXPERIMENTS) == set(found["runs"])
    for name, experiment in EXPERIMENTS.items():
        by_figure = {row.figure: row for row in rows if row.experiment == name}
        assert set(experiment.claims) <= set(by_figure)
        for figure, row in by_figure.items():
            assert (row.verdict == "–") == (figure not in experiment.claims)
            assert row.verdict in VERDICTS
            assert len(row.values) == (2 if experiment.seeds else 1)
    # Noise reaches nothing, but the line is still fitted.
    verdicts = {(row.experiment, row.figure): row.verdict for row in rows}
    assert verdicts["scratch", "test accuracy"] == verdicts["converged", "test accuracy"] == "missed: below"
    assert verdicts["line-fit", "largest difference"] == "reached"
    said = capsys.readouterr()
    assert "missed: below" in said.out
    # manual-raw has its runs in common with manual-rates.
    runs = sum(len(e.tasks) * (2 if e.seeds else 1) for e in EXPERIMENTS.values()) - 2
    assert len(re.findall(r"^\d+ of \d+ done: ", said.err, re.MULTILINE)) == len(said.err.splitlines()) == runs
    drawn = {f"reproduce-{name}.png" for name, e in EXPERIMENTS.items() if e.figure is not None}
    assert {path.name for path in tmp_path.iterdir()} == drawn | {"reproduce.json", "reproduce.md"}


def test_several_processes_find_the_same(capsys):
    assert reproduce.main(["--only", "line-fit", "--seeds", "2", "--workers", "1"]) == 0
    alone = capsys.readouterr().out.splitlines()[:2]
    assert reproduce.main(["--only", "line-fit", "--seeds", "2", "--workers", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == alone


@pytest.mark.parametrize(
    ("mean", "low", "high", "tolerance", "verdict"),
    [
        (0.4022, 0.4002, 0.4002, 0.002, "reached"),
        (0.3982, 0.4002, 0.4002, 0.002, "reached"),
        (0.40221, 0.4002, 0.4002, 0.002, "missed: above"),
        (0.39819, 0.4002, 0.4002, 0.002, "missed: below"),
        (0.78, 0.75, 0.80, 0.0, "reached"),
        (0.81, 0.75, 0.80, 0.005, "missed: above"),
        (0.74, 0.75, 0.80, 0.005, "missed: below"),
        (0.845, 0.845, math.inf, 0.0, "reached"),
        (0.8449, 0.845, math.inf, 0.0, "missed: below"),
        (math.nan, 0.0, 1.0, 1.0, "missed: not a number"),
    ],
)
def test_verdicts_on_both_sides(mean, low, high, tolerance, verdict):
    assert reproduce.judge(mean, low, high, tolerance) == verdict


def test_claims_are_read_as_they_are_written():
    assert reproduce.number("0.920")[1:3] == (0.92, 0.92)
    assert reproduce.number("0.75 to 0.80")[1:3] == (0.75, 0.80)
    # Without a spread, rounding is all that is allowed.
    assert reproduce.tolerance(reproduce.number("0.920"), [0.5]) == pytest.approx(0.0005)
    assert reproduce.tolerance(reproduce.number("0.75 to 0.80"), [0.5, 0.5]) == pytest.approx(0.005)
    assert reproduce.tolerance(reproduce.number("0.4002", tolerance=0.002), [0.1, 0.9]) == 0.002


@pytest.mark.parametrize("n", [2, 5])
def test_one_further_run_lies_within_the_prediction_95_times_in_100(n):
    random = np.random.default_rng(0)
    draws = random.normal(0.9, 0.003, (4000, n + 1))
    inside = [abs(further - np.mean(ours)) < reproduce.prediction(ours) for *ours, further in draws]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


def test_a_known_spread_stands_in_for_one_that_one_seed_does_not_show():
    random = np.random.default_rng(0)
    draws = random.normal(0.9, 0.003, (4000, 2))
    inside = [abs(one - further) < reproduce.prediction([one], 0.003) for one, further in draws]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


def test_steps_that_are_no_whole_number_of_passes(noise):
    settings = replace(EXPERIMENTS["manual-batches"].tasks["run"].settings, init="normal")
    outcome = Training(settings, steps=5).seeded(7)(noise, quietly)
    data = load_dataset("mnist", noise)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    normal(net[1].weight, net[1].bias, torch.Generator().manual_seed(7))
    batches = BatchIterator(data.train_images, data.train_labels, 128, seed=7)  # three a pass
    sgd = torch.optim.SGD(net.parameters(), 0.5)
    for X, y in [*batches, *list(batches)[:2]]:
        sgd.zero_grad()
        nn.functional.cross_entropy(net(X), y).backward()
        sgd.step()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(net(data.train_images / 255), data.train_labels)
    assert outcome.after["train loss"] == pytest.approx(float(loss), rel=1e-4)
    assert [result.epoch for result in outcome.results] == [1, 2]


def test_only_the_first_images_are_trained_on(noise, tmp_path):
    arrays = make_folder(tmp_path / "MNIST" / "raw", 300, 70, 10, 28, gz=False, seed=1)
    arrays["train-images-idx3-ubyte"][200:] = 0
    other = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    other.write_bytes(other.read_bytes()[:16] + arrays["train-images-idx3-ubyte"].tobytes())
    task = small(EXPERIMENTS["manual-batches"].tasks["run"])
    first = replace(task, images=200)
    assert first(noise, quietly).after == first(tmp_path, quietly).after
    assert task(noise, quietly).after != task(tmp_path, quietly).after


def test_whitened_pixels_have_the_same_optimum(tmp_path):
    make_folder(tmp_path / "FashionMNIST" / "raw", 300, 70, 10, 6, gz=False)
    outcome = Optimum(weight_decay=0.01, calls=10)(tmp_path, quietly)
    data = load_dataset("fashion-mnist", tmp_path)
    X, y = (data.train_images / 255).flatten(1).double(), data.train_labels
    net = nn.Linear(36, 10, dtype=torch.float64)
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure():
        lbfgs.zero_grad()
        penalty = sum(p.square().sum() for p in net.parameters())
        value = nn.functional.cross_entropy(net(X), y) + 0.005 * penalty
        value.backward()
        return value

    lbfgs.step(closure)
    expected = float(nn.functional.cross_entropy(net(X), y).detach())
    assert outcome.after["train loss"] == pytest.approx(expected, abs=1e-5)


def test_the_choice_does_not_look_at_the_test_images(noise, tmp_path, monkeypatch, capsys):
    candidates = [replace(settings, epochs=2, validation=60) for settings in CANDIDATES[:3]]
    monkeypatch.setattr(reproduce, "CANDIDATES", candidates)
    monkeypatch.setattr(reproduce, "SPLITS", (1, 2))
    other = tmp_path / "FashionMNIST" / "raw"
    make_folder(other, 300, 70, 10, 28, gz=False)
    test_images = other / "t10k-images-idx3-ubyte"
    test_images.write_bytes(test_images.read_bytes()[:16] + bytes(70 * 28 * 28))
    assert in_this_process(noise, "--choose") == 0
    table = capsys.readouterr().out
    assert in_this_process(tmp_path, "--choose", "--out", tmp_path / "out") == 0
    assert capsys.readouterr().out.startswith(table)
    accuracies = [float(line.split()[0]) for line in table.splitlines()[1:4]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert (tmp_path / "out" / "reproduce-choice.md").read_text(encoding="utf-8").count("batch size") == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--only", "scratsch"], "scratsch"),
        (["--seeds", "0"], "--seeds"),
        (["--workers", "-1"], "--workers"),
        (["--choose", "--only", "scratch"], "--choose"),
        (["--only", "scratch"], "fashion-mnist"),
        (["--only", "line-fit", "--out", "a-file"], "a-file"),
    ],
)
def test_what_the_user_must_mend_is_one_line(arguments, named, tmp_path, monkeypatch, capsys):
    def failing_download(*args):
        raise DownloadError("no network")

    monkeypatch.setattr("d2l_softmax.data.download", failing_download)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    assert reproduce.main(["--data-dir", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1
    assert named in said.err
    assert said.out == ""


@pytest.fixture(scope="module")
def committed() -> dict:
    return json.loads((RESULTS / "reproduce.json").read_text(encoding="utf-8"))


def table_lines(text: str) -> list[list[str]]:
    """The cells of each line of the tables in a Markdown text."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_the_committed_verdicts_follow_from_the_committed_values(committed):
    assert {row["experiment"] for row in committed["rows"]} == set(EXPERIMENTS)
    for row in committed["rows"]:
        assert row["mean"] == pytest.approx(np.mean(row["values"]))
        if row["verdict"] == "–":
            continue
        low = -math.inf if row["low"] is None else row["low"] - row["tolerance"]
        high = math.inf if row["high"] is None else row["high"] + row["tolerance"]
        assert (row["verdict"] == "reached") == (low <= row["mean"] <= high)
    for name, experiment in EXPERIMENTS.items():
        claimed = {row["figure"]: row for row in committed["rows"] if row["experiment"] == name and row["published"]}
        assert {figure: row["published"] for figure, row in claimed.items()} == {
            figure: claim.published for figure, claim in experiment.claims.items()
        }


def test_the_committed_table_says_what_the_committed_figures_say(committed):
    text = (RESULTS / "reproduce.md").read_text(encoding="utf-8")
    lines = {(line[0], line[1]): line for line in table_lines(text) if len(line) == len(reproduce.COLUMNS)}
    assert len(lines) == len(committed["rows"]) + 2  # the names of the columns and the rule below them
    for row in committed["rows"]:
        *_, mean, seeds, first, tolerance, verdict = lines[row["experiment"], row["figure"]]
        shown = float(mean.split(" ± ")[0])
        assert shown == pytest.approx(row["mean"], rel=0.05, abs=0.00005001)
        assert float(first) == pytest.approx(row["values"][0], rel=0.05, abs=0.00005001)
        assert int(seeds) == len(row["values"])
        assert (tolerance.strip() == "") == (not row["tolerance"])
        assert verdict == row["verdict"]
    reached = sum(row["verdict"] == "reached" for row in committed["rows"])
    assert text.startswith(f"{reached} of {sum(row['verdict'] != '–' for row in committed['rows'])} ")


def test_the_committed_results_are_small_and_name_no_folder_of_a_machine(committed):
    assert not re.search(r"(?<![\w.])/\w+/", json.dumps(committed))
    assert committed["command"] == "python -m benchmarks.reproduce --data-dir DIR"
    for name, experiment in EXPERIMENTS.items():
        path = RESULTS / f"reproduce-{name}.png"
        assert path.exists() == (experiment.figure is not None)
        assert not path.exists() or path.stat().st_size < 100_000


def test_the_settings_of_converged_are_the_ones_that_were_chosen():
    lines = table_lines((RESULTS / "reproduce-choice.md").read_text(encoding="utf-8"))[2:]
    assert {line[6] for line in lines} == {reproduce.described(Training(settings)) for settings in CANDIDATES}
    assert lines[0][6] == reproduce.described(Training(CONVERGED))
    accuracies = np.array([line[:4] for line in lines], dtype=float)
    assert (np.diff(accuracies[:, 0]) <= 0).all()
    assert EXPERIMENTS["converged"].tasks["run"].settings == CONVERGED


def test_descriptions_name_what_differs():
    assert reproduce.described(EXPERIMENTS["manual-online"].tasks["run"]) == (
        "manual, mnist, epochs 20, batch size 1, lr 0.01, init uniform, first 50,000 images"
    )
    assert reproduce.described(LineFit(3)).startswith("The fit of")
