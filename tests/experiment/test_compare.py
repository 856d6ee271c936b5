import csv
import re

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax import MODES, manual
from d2l_softmax.commands.train import main
from d2l_softmax.experiment.compare import Comparison, Drift

DIFFERENCES = ("mode differences/largest in a weight", "mode differences/largest in a loss")
RUN = ["--mode", "compare", "--dataset", "digits", "--epochs", "3", "--no-figures", "--run-name", "run"]


def drifts(logdir):
    with (logdir / "run" / "drift.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def steps(folder, *tags):
    events = EventAccumulator(str(folder))
    events.Reload()
    return [[point.step for point in events.Scalars(tag)] for tag in tags]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_modes_are_one_algorithm(tmp_path, capsys, dtype):
    assert main([*RUN, "--logdir", str(tmp_path), "--dtype", dtype, "--momentum", "0.9"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = drifts(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    weights = {m: torch.load(tmp_path / "run" / m / "checkpoint.pt", weights_only=True)["W"] for m in MODES}
    drift = max(float((weights[a] - weights[b]).abs().max()) for a in weights for b in weights)
    assert rows[-1]["weights"] == drift
    assert drift < {"float32": 1e-4, "float64": 1e-10}[dtype]
    assert steps(tmp_path / "run" / "drift", *DIFFERENCES) == [[1, 2, 3]] * 2
    for mode in MODES:
        assert steps(tmp_path / "run" / mode, "loss/train") == [[1, 2, 3]]
    # One line for each epoch: the figures of the first mode, and the differences.
    printed = [line.split() for line in out.splitlines() if re.match(r" +\d+  ", line)]
    with (tmp_path / "run" / "scratch" / "metrics.csv").open() as file:
        expected = [[f"{float(figure):.4f}" for figure in figures[1:5]] for figures in list(csv.reader(file))[1:]]
    assert [line[:5] for line in printed] == [[str(e), *figures] for e, figures in enumerate(expected, 1)]
    assert [line[6:] for line in printed] == [[f"{row['weights']:.1e}", f"{row['loss']:.1e}"] for row in rows]


def test_a_mode_that_is_changed_is_found_out(tmp_path, capsys, monkeypatch):
    class Wrong(manual.CrossEntropy):
        """Divides the short last batch by the size of the others."""

        def backward(self):
            return super().backward() * len(self.target) / 256

    monkeypatch.setattr(manual, "CrossEntropy", Wrong)
    assert main([*RUN, "--logdir", str(tmp_path)]) == 1
    assert "drifted apart: after epoch 1: " in capsys.readouterr().err
    events = EventAccumulator(str(tmp_path / "run" / "drift"))
    events.Reload()
    (text,) = events.Tensors("comparison/text_summary")
    assert "drifted apart" in text.tensor_proto.string_val[0].decode()


def test_the_verdict_is_of_the_epoch_in_which_the_drift_was_first_more_than_rounding():
    good, bad, worse = (Drift(weights, 0.0, 0.1, 0.1) for weights in (0.01, 0.2, 0.3))
    for drifts, verdict in (
        ([], (False, "nothing has been compared")),
        ([good, good], (False, "after epoch 2: a, b differ by at most 1.0e-02 in a weight")),
        ([good, bad, worse, good], (True, "after epoch 2: a, b differ by at most 2.0e-01 in a weight")),
    ):
        comparison = Comparison(None, ["a", "b"], drifts)
        assert (comparison.has_drifted, comparison.verdict.split(" and ")[0]) == verdict


def test_amplified_rounding_is_not_taken_for_a_mistake(tmp_path):
    wild = ["--pixels", "raw", "--lr", "0.5", "--momentum", "0.9", "--epochs", "20"]
    assert main([*RUN, "--logdir", str(tmp_path), *wild]) == 0


def test_a_subset_is_compared(tmp_path):
    assert main([*RUN, "--logdir", str(tmp_path), "--modes", "scratch,concise"]) == 0
    assert sorted(p.name for p in (tmp_path / "run").iterdir() if p.is_dir()) == ["concise", "drift", "scratch"]


@pytest.mark.parametrize("modes", ["scratch", "scratch,scratch", "scratch,nonsense", ""])
def test_modes_that_cannot_be_compared_are_refused(tmp_path, capsys, modes):
    assert main([*RUN, "--logdir", str(tmp_path), "--modes", modes]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_on_the_real_data_the_modes_stay_together(tmp_path, real_data):
    arguments = ["--dataset", "fashion-mnist", "--data-dir", str(real_data), "--epochs", "1", "--dtype", "float64"]
    assert main([*RUN, *arguments, "--logdir", str(tmp_path)]) == 0
    (row,) = drifts(tmp_path)
    assert max(row["weights"], row["loss"]) < 1e-10
