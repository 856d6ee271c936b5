import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax.cli import main

DIGITS = ["--dataset", "digits", "--epochs", "2", "--no-figures", "--run-name"]


def run(tmp_path, name, *arguments):
    return main([*DIGITS, name, "--logdir", str(tmp_path), *arguments])


def table(folder):
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def metrics(folder):
    return [line.split(",")[1:5] for line in (folder / "metrics.csv").read_text().splitlines()]


def test_every_combination_is_the_run_it_would_be_alone(tmp_path, capsys):
    assert run(tmp_path, "sweep", "--lr", "0.5", "0.05", "--momentum", "0", "0.9") == 0
    names = {f"lr={lr},momentum={m}" for lr in ("0.5", "0.05") for m in ("0", "0.9")}
    assert {p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir()} == names
    assert run(tmp_path, "alone", "--lr", "0.05", "--momentum", "0.9") == 0
    assert metrics(tmp_path / "sweep" / "lr=0.05,momentum=0.9") == metrics(tmp_path / "alone")
    out = capsys.readouterr().out
    assert "flatters" in out
    accuracies = [float(row["test_accuracy"]) for row in table(tmp_path / "sweep")]
    assert accuracies == sorted(accuracies, reverse=True)


def test_with_validation_images_they_choose(tmp_path, capsys):
    assert run(tmp_path, "sweep", "--batch-size", "32", "512", "--validation", "300") == 0
    out = capsys.readouterr().out
    assert "sorted by validation accuracy" in out
    assert "flatters" not in out
    accuracies = [float(row["validation_accuracy"]) for row in table(tmp_path / "sweep")]
    assert accuracies == sorted(accuracies, reverse=True)


def test_a_value_that_diverges_is_shown_and_does_not_end_the_sweep(tmp_path, capsys):
    assert run(tmp_path, "sweep", "--lr", "1e20", "0.1", "--weight-decay", "1e20", "0") == 0
    rows = {(float(r["lr"]), float(r["weight_decay"])): r for r in table(tmp_path / "sweep")}
    assert len(rows) == 4
    assert rows[1e20, 1e20]["diverged_in"] == "1"
    assert rows[0.1, 0.0]["diverged_in"] == ""
    assert "diverged in epoch 1" in capsys.readouterr().out
    assert table(tmp_path / "sweep")[-1]["diverged_in"] == "1"
    events = EventAccumulator(str(tmp_path / "sweep" / "lr=0.1,weight_decay=0"))
    events.Reload()
    assert "loss/test" in events.Tags()["scalars"]


@pytest.mark.parametrize(
    "arguments",
    [["--lr", "1", "1"], ["--lr", "1", "-1"], ["--lr", "1", "2", "--mode", "compare"], ["--momentum", "0", "1"]],
)
def test_bad_sweeps_are_one_line(tmp_path, capsys, arguments):
    assert run(tmp_path, "sweep", *arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_a_sweep_cannot_be_resumed_with(tmp_path, capsys):
    assert run(tmp_path, "one") == 0
    assert main(["--resume", str(tmp_path / "one"), "--lr", "1", "2"]) == 2
    assert "--resume" in capsys.readouterr().err
