"""Sixteen learning rates trained together, as a sweep trains them, and one after another.

    python -m benchmarks.sweep --data-dir DIR

An epoch is training plus evaluation on Fashion-MNIST, for all rates; the two take turns. With `--out DIR` the figures
are also written to `sweep.json`.
"""

import argparse
import sys
from functools import partial

import torch

from benchmarks.peers import BATCH_SIZE, Epoch
from benchmarks.report import parser, run, write
from benchmarks.speed import interleaved, summary
from d2l_softmax import MODES, Dataset, load_dataset
from d2l_softmax.experiment.job import Setup, build_learner, make_job
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.scale.stack import Stack
from d2l_softmax.training import run_epoch

RATES = torch.logspace(-3, -0.5, 16).tolist()
CPU = torch.device("cpu")


def one_after_another(mode: str, dataset: Dataset) -> Epoch:
    """Each rate's epoch in turn."""
    jobs = [make_job(settings, Setup(dataset, "", CPU)) for settings in _combinations(mode)]
    runs = [job.epochs() for job in jobs]
    return lambda: [next(run) for run in runs]


def together(mode: str, dataset: Dataset) -> Epoch:
    """One epoch for all rates."""
    first, *_ = combinations = _combinations(mode)
    job = make_job(first, Setup(dataset, "", CPU))
    learners = [build_learner(settings, *job.learner.W.shape, CPU) for settings in combinations]
    stack = Stack(learners, partial(build_learner, first, device=CPU))
    iterators = [stack.batches(data_iter) for data_iter in (job.train_iter, job.test_iter)]
    return lambda: list(stack.split(run_epoch(stack, 1, *iterators)))


def _combinations(mode: str) -> list[Settings]:
    return [Settings(mode=mode, lr=lr, batch_size=BATCH_SIZE, epochs=1_000_000) for lr in RATES]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write it."""
    return run(parser("sweep", __doc__, 5, "sweep.json"), _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    dataset = load_dataset("fashion-mnist", options.data_dir)
    ways = {"together": together, "one after another": one_after_another}
    print(f"seconds per epoch of {len(RATES)} learning rates: median of {options.rounds}, and the ratio")
    result = {}
    for mode in MODES:
        seconds = interleaved({name: way(mode, dataset) for name, way in ways.items()}, options.rounds)
        result[mode] = summary(seconds)
        together_seconds, alone_seconds = result[mode]["seconds"].values()
        ratio = result[mode]["ratios"]["together"]["one after another"]
        print(f"{mode:8s} together {together_seconds:6.3f}, one after another {alone_seconds:6.3f}: {ratio:.2f}×")
    if options.out is not None:
        write(options.out / "sweep.json", {"rates": RATES, "rounds": options.rounds, "modes": result})


if __name__ == "__main__":
    sys.exit(main())
