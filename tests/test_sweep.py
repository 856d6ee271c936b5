import csv

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax.cli import main
from d2l_softmax.modes import MODES

DIGITS = ["--dataset", "digits", "--epochs", "2", "--no-figures", "--run-name"]


def run(tmp_path, name, *arguments):
    return main([*DIGITS, name, "--logdir", str(tmp_path), *arguments])


def table(folder):
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def metrics(folder):
    """The losses and accuracies of all epochs."""
    with (folder / "metrics.csv").open() as file:
        return [float(value) for row in csv.reader(file) if row[0] != "epoch" for value in row[1:5]]


def states(folder):
    """Everything a run has learned: W, b and the updater's own."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    updater = state["updater"]
    velocities = updater.get("velocities") or [s["momentum_buffer"] for s in updater.get("state", {}).values() if s]
    return [state["W"], state["b"], *(v for v in velocities if v is not None)]


@pytest.mark.parametrize("mode", MODES)
def test_every_combination_is_the_run_it_would_be_alone(tmp_path, capsys, mode):
    same = ["--mode", mode, "--dtype", "float64", "--lr-schedule", "cosine"]
    assert run(tmp_path, "sweep", *same, "--lr", "0.5", "0.05", "--momentum", "0", "0.9", "--seed", "1", "2") == 0
    out = capsys.readouterr().out
    assert out.count("4 combinations trained together") == 2  # once for each seed
    assert "flatters" in out
    names = {f"lr={lr},momentum={m},seed={s}" for lr in ("0.5", "0.05") for m in ("0", "0.9") for s in "12"}
    assert {p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir()} == names
    for lr, momentum in (("0.05", "0.9"), ("0.5", "0")):
        alone = f"alone-{lr}"
        assert run(tmp_path, alone, *same, "--lr", lr, "--momentum", momentum, "--seed", "2") == 0
        one, other = tmp_path / "sweep" / f"lr={lr},momentum={momentum},seed=2", tmp_path / alone
        assert metrics(one) == pytest.approx(metrics(other), rel=1e-12)
        for checkpoint, expected in zip(*(states(folder) for folder in (one, other)), strict=True):
            torch.testing.assert_close(checkpoint, expected, rtol=1e-12, atol=1e-13)
    accuracies = [float(row["test_accuracy"]) for row in table(tmp_path / "sweep")]
    assert accuracies == sorted(accuracies, reverse=True)


def test_a_run_of_a_sweep_goes_on_as_it_would_have_alone(tmp_path):
    same = ["--dtype", "float64", "--momentum", "0.9"]
    assert run(tmp_path, "sweep", *same, "--lr", "0.5", "0.05") == 0
    assert main(["--resume", str(tmp_path / "sweep" / "lr=0.05"), "--epochs", "4"]) == 0
    assert run(tmp_path, "alone", *same, "--lr", "0.05", "--epochs", "4") == 0
    assert metrics(tmp_path / "sweep" / "lr=0.05") == pytest.approx(metrics(tmp_path / "alone"), rel=1e-12)


def test_with_eval_every_each_is_trained_on_its_own(tmp_path, capsys):
    assert run(tmp_path, "sweep", "--lr", "0.5", "0.05", "--eval-every", "3") == 0
    assert "together" not in capsys.readouterr().out
    assert len((tmp_path / "sweep" / "lr=0.05" / "steps.csv").read_text().splitlines()) == 1 + 12 // 3


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
    # The others are not touched by the numbers that are none any more.
    assert run(tmp_path, "alone", "--lr", "0.1") == 0
    assert metrics(tmp_path / "sweep" / "lr=0.1,weight_decay=0") == pytest.approx(
        metrics(tmp_path / "alone"), rel=1e-5
    )
    assert (tmp_path / "sweep" / "lr=1e+20,weight_decay=1e+20" / "metrics.csv").read_text().count("\n") == 1
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
