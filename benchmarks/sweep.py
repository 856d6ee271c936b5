"""Sixteen learning rates trained together, as a sweep trains them, and one after another.

    python -m benchmarks.sweep --data-dir DIR

An epoch is training plus evaluation on Fashion-MNIST, for all rates; the two take turns. With `--out DIR` the figures
are also written to `sweep.json`.
"""

import argparse
import sys
from functools import partial

import torch

from benchmarks.peers import BATCH_SIZE, CPU, SEED, Epoch
from benchmarks.report import parser, run, write
from benchmarks.speed import interleaved, summary
from d2l_softmax import MODES, BatchIterator, Dataset, load_dataset
from d2l_softmax.data.batches import BLOCK
from d2l_softmax.device import threads
from d2l_softmax.parallel.stack import Stack
from d2l_softmax.training import Learner, run_epoch

RATES = torch.logspace(-3, -0.5, 16).tolist()


def one_after_another(mode: str, dataset: Dataset) -> Epoch:
    """Each rate's epoch in turn."""
    runs = [(learner, *_iterators(dataset)) for learner in _learners(mode, dataset)]

    def epoch() -> list:
        with threads(CPU, BATCH_SIZE * runs[0][0].W.numel()):
            return [run_epoch(learner, 1, *iterators) for learner, *iterators in runs]

    return epoch


def together(mode: str, dataset: Dataset) -> Epoch:
    """One epoch for all rates."""
    stack = Stack(_learners(mode, dataset), partial(MODES[mode], lr=RATES[0], device=CPU))
    iterators = _iterators(dataset)

    def epoch() -> list:
        with threads(CPU, BATCH_SIZE * stack.wide.W.numel()):
            return stack.run_epoch(1, *iterators)

    return epoch


def _learners(mode: str, dataset: Dataset) -> list[Learner]:
    sizes = dataset.num_inputs, len(dataset.classes)
    seeds = [torch.Generator().manual_seed(SEED) for _ in RATES]
    return [MODES[mode](*sizes, lr=lr, generator=seed, device=CPU) for lr, seed in zip(RATES, seeds, strict=True)]


def _iterators(dataset: Dataset) -> tuple[BatchIterator, BatchIterator]:
    train_iter = BatchIterator(dataset.train_images, dataset.train_labels, BATCH_SIZE, seed=SEED, device=CPU)
    return train_iter, BatchIterator(dataset.test_images, dataset.test_labels, BLOCK, device=CPU)


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
