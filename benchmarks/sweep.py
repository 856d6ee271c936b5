"""Sixteen learning rates trained together, as a sweep trains them, and one after another.

    python -m benchmarks.sweep --data-dir DIR

An epoch is training plus evaluation on Fashion-MNIST, for all rates; the two take turns. With `--out DIR` the figures
are also written to `sweep.json`.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch

from benchmarks.peers import BATCH_SIZE, Epoch
from benchmarks.report import write
from benchmarks.speed import interleaved, summary
from d2l_softmax import MODES, Dataset, load_dataset
from d2l_softmax.command import Parser, run_command
from d2l_softmax.experiment import Setup, build_learner, make_job
from d2l_softmax.settings import Settings
from d2l_softmax.stack import epochs_together

RATES = torch.logspace(-3, -0.5, 16).tolist()
CPU = torch.device("cpu")


def one_after_another(mode: str, dataset: Dataset) -> Epoch:
    """Each rate's epoch in turn."""
    runs = [
        make_job(Settings(mode=mode, lr=lr, batch_size=BATCH_SIZE), Setup(dataset, CPU)).epochs(1_000_000)
        for lr in RATES
    ]
    return lambda: [next(run) for run in runs]


def together(mode: str, dataset: Dataset) -> Epoch:
    """One epoch for all rates."""
    job = make_job(Settings(mode=mode, batch_size=BATCH_SIZE), Setup(dataset, CPU))
    shape = job.learner.W.shape
    learners = {str(lr): build_learner(Settings(mode=mode, lr=lr), *shape, CPU) for lr in RATES}
    build = partial(build_learner, Settings(mode=mode), device=CPU)
    return partial(next, epochs_together(learners, build, job.train_iter, job.test_iter, 1_000_000))


def parser() -> argparse.ArgumentParser:
    """Build the parser."""
    parser = Parser(prog="benchmarks.sweep", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", default="data", help="holds FashionMNIST/raw/")
    parser.add_argument("--rounds", type=int, default=5, help="timed turns of each")
    parser.add_argument("--out", type=Path, help="folder for sweep.json")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write it; the exit status is 2 for what the user must mend."""
    return run_command("sweep", lambda: _measure(parser().parse_args(arguments)))


def _measure(options: argparse.Namespace) -> int:
    dataset = load_dataset("fashion-mnist", options.data_dir)
    ways = {"together": together, "one after another": one_after_another}
    print(f"seconds an epoch of {len(RATES)} learning rates: median of {options.rounds}, and the ratio")
    result = {}
    for mode in MODES:
        seconds = interleaved({name: way(mode, dataset) for name, way in ways.items()}, options.rounds)
        result[mode] = summary(seconds, of=["together"])
        together_seconds, alone_seconds = result[mode]["seconds"].values()
        ratio = result[mode]["ratios"]["together"]["one after another"]
        print(f"{mode:8s} together {together_seconds:6.3f}, one after another {alone_seconds:6.3f}: {ratio:.2f}×")
    if options.out is not None:
        write(options.out / "sweep.json", {"rates": RATES, "rounds": options.rounds, "modes": result})
    return 0


if __name__ == "__main__":
    sys.exit(main())
