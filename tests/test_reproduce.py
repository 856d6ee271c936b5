import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import reproduce
from benchmarks.published import EXPERIMENTS, Claim, Run, number
from d2l_softmax import BatchIterator, load_dataset
from tests import oracle
from tests.idx_files import make_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_folder(folder / "FashionMNIST" / "raw", 300, 70, 10, 6, gz=False)
    make_folder(folder / "MNIST" / "raw", 300, 70, 10, 6, gz=False, seed=1)
    return folder


LOSS = number("0.4002", tolerance=0.002, lower_is_better=True)


@pytest.mark.parametrize(
    ("claim", "values", "tolerance", "verdict"),
    [
        (LOSS, [0.4021, 0.4023], 0.002, "reached"),
        (LOSS, [0.4022, 0.4024], 0.002, "worse"),
        (number("0.75 to 0.80"), [0.81, 0.81], 0.005, "better"),
        (Claim("at least 0.845", low=0.845), [0.8449], 0.0, "worse"),
        # s = √2.5, t = 2.776445 with four degrees of freedom: 0.05 + 2.776445 · √2.5 · √1.2 = 4.858944.
        (number("7.8"), [1, 2, 3, 4, 5], 4.858944, "reached"),
        (number("7.9"), [1, 2, 3, 4, 5], 4.858944, "worse"),
        # 0.0005 + 1.96 · 0.0003 · √2 = 0.001332.
        (number("0.920", spread=0.0003), [0.9214], 0.001332, "better"),
    ],
)
def test_verdicts_by_hand(claim, values, tolerance, verdict):
    assert reproduce.judge(claim, values) == (pytest.approx(tolerance, abs=1e-6), verdict)


def test_every_experiment_measures_its_figures(noise):
    for name, experiment in EXPERIMENTS.items():
        done = {}
        for run in experiment.runs.values():
            small = run._replace(settings=replace(run.settings, epochs=2), steps=run.steps and 5)
            done[run, 7] = reproduce.METHODS[run.method](small, 7, noise)
        rows = reproduce.rows(name, [reproduce.measure(name, 7, done)])
        assert [row["figure"] for row in rows] == list(experiment.figures)
        assert all(math.isfinite(row["mean"]) for row in rows)
        assert all((row["verdict"] is None) == (row["published"] is None) for row in rows)


def test_steps_that_are_no_whole_number_of_passes_over_the_first_images(noise):
    settings = replace(EXPERIMENTS["manual-batches"].runs[""].settings, init="normal")
    found = reproduce.train(Run(settings, images=290, steps=5), 7, noise)
    data = load_dataset("mnist", noise)
    X, y = data.train_images[:290], data.train_labels[:290]
    rows = torch.empty(10, 36).normal_(0, 0.01, generator=torch.Generator().manual_seed(7))
    batches = BatchIterator(X, y, 128, seed=7, device=torch.device("cpu"))  # three a pass
    linear, _ = oracle.train(rows.T, torch.zeros(10), [*batches, *list(batches)[:2]], lr=0.5)
    loss, _ = oracle.evaluate(linear.weight.T, linear.bias, X, y)
    assert found["train loss, final weights"] == pytest.approx(loss, rel=1e-4)


def test_whitened_pixels_have_the_same_optimum(noise):
    run = EXPERIMENTS["optimum"].runs["penalty 1e-4"]
    found = reproduce.optimise(run._replace(settings=replace(run.settings, weight_decay=0.01)), 7, noise)
    data = load_dataset("fashion-mnist", noise)
    X, y = (data.train_images / 255).flatten(1).double(), data.train_labels
    net = nn.Linear(36, 10, dtype=torch.float64)
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure():
        lbfgs.zero_grad()
        value = nn.functional.cross_entropy(net(X), y) + 0.005 * sum(p.square().sum() for p in net.parameters())
        value.backward()
        return value

    lbfgs.step(closure)
    assert found["train loss"] == pytest.approx(nn.functional.cross_entropy(net(X), y).item(), abs=1e-5)


PUBLISHED = """
scratch: 0.4002 0.8634 0.8424; concise: 0.4472 0.8486 0.8322;
manual-raw: 0.75 to 0.80 0.75 to 0.80 close: within 0.05; manual-rates: jumps about: at least 0.25 slow: at least 10;
manual-online: 0.920; manual-batches: 0.931 0.921; line-fit: equal to 8 decimals;
converged: aim: at least 0.845; optimum: 0.324 0.847
"""


def test_the_committed_results_agree_with_each_other_and_with_what_was_published():
    found = json.loads((reproduce.RESULTS / "reproduce.json").read_text(encoding="utf-8"))
    text = (reproduce.RESULTS / "reproduce.md").read_text(encoding="utf-8")
    lines = [[*map(str.strip, line.split("|")[1:-1])] for line in text.splitlines() if line.startswith("| ")][2:]
    published = {name: [name + ":"] for name in EXPERIMENTS}
    for row, line in zip(found["rows"], lines, strict=True):
        assert line[:2] + line[-1:] == [row["experiment"], row["figure"], row["verdict"] or "–"]
        assert float(line[3].split(" ± ")[0]) == pytest.approx(row["mean"], rel=1e-3)
        if claim := EXPERIMENTS[row["experiment"]].figures[row["figure"]]:
            assert reproduce.judge(claim, row["values"]) == (pytest.approx(row["tolerance"]), row["verdict"])
            published[row["experiment"]].append(row["published"])
    assert "; ".join(map(" ".join, published.values())) == PUBLISHED.strip().replace("\n", " ")
    verdicts = [row["verdict"] for row in found["rows"] if row["verdict"]]
    assert text.startswith(f"Of {len(verdicts)} published figures, {verdicts.count('reached')} are reached")
