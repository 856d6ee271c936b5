import itertools
import re
import signal

import pytest

from d2l_softmax import MODES, manual
from d2l_softmax.experiment.compare import Comparison, Steps
from d2l_softmax.record.console import EpochTable
from tests import runs

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@both_dtypes
def test_the_modes_are_one_algorithm(tmp_path, train, capsys, dtype):
    assert train("run", "--mode compare", f"--epochs 3 --momentum 0.9 --dtype {dtype}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    drifts = runs.figures(tmp_path / "run", "drift.csv")[:, :3].tolist()
    assert [epoch for epoch, *_ in drifts] == [1, 2, 3]
    weights = [runs.checkpoint(tmp_path / "run" / mode)["W"] for mode in MODES]
    drift = max(float((one - other).abs().max()) for one, other in itertools.combinations(weights, 2))
    assert drifts[-1][1] == drift < {"float32": 1e-4, "float64": 1e-10}[dtype]
    assert list(runs.curves(tmp_path / "run" / "differences").values()) == [
        [(epoch, pytest.approx(weight)) for epoch, weight, _ in drifts],
        [(epoch, pytest.approx(loss)) for epoch, _, loss in drifts],
    ]
    # One line for each epoch: the figures of the first mode, and the differences.
    printed = [line.split() for line in out.splitlines() if re.match(r" +\d+  ", line)]
    figures = [[f"{figure:.4f}" for figure in row[1:]] for row in runs.figures(tmp_path / "run" / "scratch").tolist()]
    assert [line[1:5] for line in printed] == figures
    assert [line[6:] for line in printed] == [[f"{weight:.1e}", f"{loss:.1e}"] for _, weight, loss in drifts]


def wrong_updater(momentum=1.0, weight_decay=1.0):
    """The updater of manual with wrong factors."""

    class Wrong(manual.SGD):
        def __init__(self, params, lr, m, decay):
            super().__init__(params, lr, momentum * m, weight_decay * decay)

    return manual, "SGD", Wrong


def wrong_method(cls, name, change):
    """A method of manual whose result is changed."""
    original = getattr(cls, name)
    return cls, name, lambda self, *args: change(self, original(self, *args))


def without_bias(self, grad):
    self.b.grad.zero_()
    return grad


def divided_by_the_first_batch(self, grad):
    self.first = getattr(self, "first", len(grad))
    return grad * len(grad) / self.first


MUTANTS = {
    "the gradient 1 % too large": ("", wrong_method(manual.CrossEntropy, "backward", lambda _, grad: 1.01 * grad)),
    "the loss 1 % too large": ("", wrong_method(manual.CrossEntropy, "forward", lambda _, losses: 1.01 * losses)),
    "the momentum 1 % too large": (" --momentum 0.9", wrong_updater(momentum=1.01)),
    "the weight decay 1 % too large": (" --weight-decay 0.01", wrong_updater(weight_decay=1.01)),
    # With such batches of the 1437 images, training itself has no other.
    "the size of the first batch as divisor": (
        " --batch-size 479",
        wrong_method(manual.CrossEntropy, "backward", divided_by_the_first_batch),
    ),
    "the bias never trained": ("", wrong_method(manual.Linear, "backward", without_bias)),
}


@both_dtypes
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_mode_is_found_out(train, capsys, monkeypatch, mutant, dtype):
    arguments, change = MUTANTS[mutant]
    monkeypatch.setattr(*change)
    assert train("run", "--mode compare", f"--epochs 1 --modes scratch,manual --dtype {dtype}{arguments}") == 1
    out, err = capsys.readouterr()
    said = "scratch, manual do not take the same steps: after epoch 0, two steps from the same weights differ by "
    assert said in out
    assert said in err


@both_dtypes
@pytest.mark.parametrize(
    "arguments",
    [
        "--lr 0.1",
        "--lr 1",
        "--lr 0.5 --momentum 0.9",
        "--pixels raw --lr 1e-4",
        "--pixels raw --lr 0.5 --momentum 0.9",
        "--lr 1 --init uniform --weight-decay 0.01",
    ],
)
def test_right_modes_stay_well_below_what_rounding_explains(tmp_path, train, arguments, dtype):
    assert train("run", "--mode compare", f"--epochs 3 --dtype {dtype} {arguments}") == 0
    for row in runs.rows(tmp_path / "run", "drift.csv"):
        for figure in ("weights", "loss"):
            assert float(row[f"step_{figure}"]) < float(row[f"step_allowed_{figure}"]) / 5


ALIKE, APART = Steps(0.001, 0, 0.01, 0.1, 2), Steps(0.02, 0, 0.01, 0.1, 2)
UNKNOWN = [ALIKE._replace(size=size) for size in (0.0, 0.5, float("nan"), float("inf"))]
UNKNOWN += [ALIKE._replace(allowed_weights=allowed) for allowed in (0.0, 0.1, float("nan"), float("inf"))]


@pytest.mark.parametrize(
    ("steps", "is_the_same", "verdict"),
    [
        ([*UNKNOWN, ALIKE], True, "a, b take the same steps: after epoch 8, "),
        ([ALIKE, APART, APART._replace(weights=3), ALIKE], False, "a, b do not .* epoch 1, .* 2.0e-02 in a weight"),
        ([ALIKE, ALIKE._replace(loss=0.2)], False, "a, b do not .* epoch 1, .* 2.0e-01 in a loss"),
        ([ALIKE._replace(weights=float("nan"))], False, "a, b do not .* epoch 0, .* most nan in a weight"),
        *(([unknown], False, "cannot be judged here") for unknown in UNKNOWN),
        ([], False, "cannot be judged here"),
    ],
)
def test_the_verdict_is_of_the_first_point_that_differs_and_can_be_judged(steps, is_the_same, verdict):
    comparison = Comparison(None, ["a", "b"], steps)
    assert comparison.is_the_same == is_the_same
    assert re.match(verdict, comparison.verdict)


def test_steps_that_are_lost_in_rounding_are_not_judged(train, capsys):
    assert train("run", "--mode compare", "--epochs 1 --lr 1e-12") == 1
    assert "cannot be judged here: " in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_complete(tmp_path, train, capsys, monkeypatch):
    monkeypatch.setattr(EpochTable, "add", lambda *_: signal.raise_signal(signal.SIGINT))
    assert train("run", "--mode compare", "--epochs 3 --modes scratch,manual") == 130
    assert capsys.readouterr().err.endswith(": interrupted; what is complete is kept\n")
    assert len(runs.rows(tmp_path / "run", "drift.csv")) == len(runs.rows(tmp_path / "run" / "manual")) == 1


@pytest.mark.parametrize("modes", ["scratch", "scratch,scratch", "scratch,nonsense", ""])
def test_modes_that_cannot_be_compared_are_refused(tmp_path, train, capsys, modes):
    assert train("run", "--mode compare", f"--modes={modes}") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_a_first_step_far_from_the_weights_is_not_taken_for_a_mistake(train, real_data):
    wild = "--pixels raw --init zeros --lr 0.004329797988330204 --momentum 0.5 --weight-decay 1e-4 --batch-size 1024"
    data = "--dataset", "mnist", "--data-dir", real_data
    assert train("run", "--mode compare --epochs 1 --seed 150816", wild, *data) == 0
