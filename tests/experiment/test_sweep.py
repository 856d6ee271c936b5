import json
import re
import signal
from collections import defaultdict

import numpy as np
import pytest
from torch.testing import assert_close

from d2l_softmax import MODES
from d2l_softmax.experiment import sweep
from d2l_softmax.record import pictures
from tests import runs


def table(folder):
    return runs.rows(folder, "sweep.csv")


def printed(out, measure):
    """The names and the last cells of the table at the end, which must be sorted; without deviations."""
    lines = re.search(rf"sorted by {measure} accuracy.*?\n(.*?)\n(Choosing|the run:)", out, re.S)[1].splitlines()
    cells = [(line.split()[0], re.sub(r" ± 0\.\d+", "", line).split()[-1]) for line in lines]
    accuracies = [float(cell) for _, cell in cells if "." in cell]
    assert accuracies == sorted(accuracies, reverse=True)
    return cells


def learned(folder):
    """W, b and what the updater keeps of a run, and the data that it says it was trained on."""
    state, config = runs.checkpoint(folder), json.loads((folder / "config.json").read_text())
    return [state[key] for key in ("W", "b", "updater")], config["data"]


@pytest.mark.parametrize("mode", MODES)
def test_every_combination_is_the_run_it_would_be_alone(tmp_path, train, capsys, mode):
    same = f"--mode {mode} --dtype float64 --lr-schedule cosine --validation 100 "
    assert train("sweep", f"{same} --lr 0.5 0.05 --momentum 0 0.9 --seed 1 2") == 0
    out = capsys.readouterr().out
    assert "flatters" not in out
    together = re.findall("^(.*): trained together, in one matrix product$", out, re.M)
    assert [len(re.findall("seed=", names)) for names in together] == [4, 4]
    names = {f"lr={lr},momentum={m},seed={s}" for lr in ("0.5", "0.05") for m in ("0", "0.9") for s in "12"}
    assert {p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir()} == names
    # Ranked by the mean over seeds.
    of_seeds = defaultdict(list)
    for row in table(tmp_path / "sweep"):
        key = f"lr={row['lr']},momentum={row['momentum'].removesuffix('.0')}"
        of_seeds[key].append(float(row["validation_accuracy"]))
    assert dict(printed(out, "validation")) == {name: f"{np.mean(values):.4f}" for name, values in of_seeds.items()}
    assert "mean ± standard deviation over 2 seeds" in out
    for values in of_seeds.values():
        assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}\n" in out
    for lr, momentum, seed in (("0.05", "0.9", "1"), ("0.5", "0", "2")):
        assert train(f"lr={lr}", f"{same} --lr {lr} --momentum {momentum} --seed {seed}") == 0
        member, alone = tmp_path / "sweep" / f"lr={lr},momentum={momentum},seed={seed}", tmp_path / f"lr={lr}"
        assert_close(runs.figures(member), runs.figures(alone), rtol=1e-12, atol=0)
        (found, data), (expected, wanted) = learned(member), learned(alone)
        assert_close(found, expected, rtol=1e-12, atol=1e-13)
        assert data == wanted


def test_a_value_that_diverges_is_shown_and_affects_no_other(tmp_path, train, capsys):
    # A step with lr·weight_decay = 1e4 makes the weights 1e4 times as large, and an epoch has six.
    assert train("sweep", "--epochs 3 --lr 1e20 0.1 --weight-decay 1e20 1e5 0") == 0
    out = capsys.readouterr().out
    assert "flatters" in out
    diverged_in = {(float(r["lr"]), float(r["weight_decay"])): r["diverged_in"] for r in table(tmp_path / "sweep")}
    assert len(diverged_in) == 6
    assert [diverged_in[key] for key in ((1e20, 1e20), (0.1, 1e5), (0.1, 0))] == ["1", "2", ""]
    assert ("lr=0.1,weight_decay=100000", "2") in printed(out, "test")[-4:]
    assert len(runs.rows(tmp_path / "sweep" / "lr=1e+20,weight_decay=1e+20")) == 0
    assert len(runs.rows(tmp_path / "sweep" / "lr=0.1,weight_decay=100000")) == 1
    assert train("alone", "--lr 0.1 --epochs 3") == 0
    member = tmp_path / "sweep" / "lr=0.1,weight_decay=0"
    assert_close(runs.figures(member), runs.figures(tmp_path / "alone"), rtol=1e-5, atol=0)
    assert [step for step, _ in runs.curves(member)["loss/test"]] == [1, 2, 3]


@pytest.mark.parametrize(
    "arguments",
    ["--lr 1 1", "--lr 1 -1", "--lr 1 2 --mode compare", "--lr 1 2 --resume .", "--momentum 0 1"],
)
def test_bad_sweeps_are_one_line(tmp_path, train, capsys, arguments):
    assert train("sweep", arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_a_sweep_has_one_picture_of_all_losses_the_best_first(tmp_path, train, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "sweep", lambda *given, draw=pictures.sweep: drawn.append(given) or draw(*given))
    assert train("sweep", "--lr 1e-6 0.5 --seed 1 2", figures=True) == 0
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")] == ["sweep/sweep.png"]
    ((losses, title),) = drawn
    assert title == "scratch: lr, seed, mean over the seeds"
    for name, mean in losses.items():
        of = [runs.figures(tmp_path / "sweep" / f"{name},seed={seed}")[:, 1] for seed in (1, 2)]
        assert mean == pytest.approx(sum(of) / 2)
    assert list(losses) == ["lr=0.5", "lr=1e-06"]


def test_ctrl_c_keeps_what_is_complete_and_names_what_is_not(tmp_path, train, capsys, monkeypatch):
    def train_together(runs, ended, original=sweep._train_together):
        if any(ended.results.values()):
            signal.raise_signal(signal.SIGINT)
        original(runs, ended)

    monkeypatch.setattr(sweep, "_train_together", train_together)
    assert train("sweep", "--lr 0.1 1e20 --weight-decay 1e5 0 --seed 1 2") == 130
    out, err = capsys.readouterr()
    assert err.endswith(": interrupted; what is complete is kept\n")
    assert re.search(r"^lr=0.1,weight_decay=0 .* 0\.\d{4}  lr=0.1,weight_decay=0,seed=2 not begun$", out, re.M)
    assert re.search(r"^lr=0.1,weight_decay=100000 .*seed=1 diverged in epoch \d; .*,seed=2 not begun$", out, re.M)
    assert [len(runs.rows(tmp_path / "sweep" / f"lr=0.1,weight_decay=0,seed={seed}")) for seed in (1, 2)] == [2, 0]
    assert len(table(tmp_path / "sweep")) == 8
