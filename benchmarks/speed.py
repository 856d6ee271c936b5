"""Seconds an epoch, training plus evaluation, of every mode beside the textbook loop, on the same machine in one run.

    python -m benchmarks.speed --data-dir DIR

The contestants take turns, so that a machine that slows down slows them all; the table gives medians.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from d2l_softmax import MODES, BatchIterator, UserError, load_dataset, train
from d2l_softmax.data import Dataset
from d2l_softmax.experiment import EVALUATION_BATCH

BATCH_SIZE, LR, SEED = 256, 0.1, 326


def mode_epoch(mode: str, dataset: Dataset) -> Callable[[], None]:
    """One epoch of a mode, training and evaluation."""
    generator = torch.Generator().manual_seed(SEED)
    learner = MODES[mode](dataset.num_inputs, len(dataset.classes), lr=LR, generator=generator)
    train_iter = BatchIterator(dataset.train_images, dataset.train_labels, BATCH_SIZE, seed=SEED)
    test_iter = BatchIterator(dataset.test_images, dataset.test_labels, EVALUATION_BATCH)
    net, loss, updater, backward = learner.net, learner.loss, learner.updater, learner.backward
    return lambda: train(net, train_iter, test_iter, loss, 1, updater, backward=backward)


def textbook_epoch(dataset: Dataset, root: Path) -> Callable[[], None]:
    """One epoch of the loop that everyone copies: torchvision's data set, ToTensor, DataLoader, float(loss)."""
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms import ToTensor

    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, images, labels in (
        ("train", dataset.train_images, dataset.train_labels),
        ("t10k", dataset.test_images, dataset.test_labels),
    ):
        header = b"".join(n.to_bytes(4, "big") for n in (0x803, len(images), *images.shape[2:]))
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + images.numpy().tobytes())
        header = b"".join(n.to_bytes(4, "big") for n in (0x801, len(labels)))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(header + labels.to(torch.uint8).numpy().tobytes())
    train_loader, test_loader = (
        DataLoader(FashionMNIST(root, train, ToTensor()), BATCH_SIZE, shuffle=train, num_workers=0)
        for train in (True, False)
    )
    net = nn.Sequential(nn.Flatten(), nn.Linear(dataset.num_inputs, len(dataset.classes)))
    loss = nn.CrossEntropyLoss()
    updater = torch.optim.SGD(net.parameters(), lr=LR)

    def epoch() -> None:
        total = correct = 0.0
        for X, y in train_loader:
            y_hat = net(X)
            batch_loss = loss(y_hat, y)
            updater.zero_grad()
            batch_loss.backward()
            updater.step()
            total += float(batch_loss.detach()) * len(y)
            correct += float((y_hat.argmax(dim=1) == y).sum())
        with torch.no_grad():
            for X, y in test_loader:
                correct += float((net(X).argmax(dim=1) == y).sum())

    return epoch


def interleaved(contestants: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            start = time.perf_counter()
            contestant()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data-dir", default="data", help="holds FashionMNIST/raw/")
    parser.add_argument("--rounds", type=int, default=7, help="timed epochs of each")
    arguments = parser.parse_args()
    try:
        dataset = load_dataset("fashion-mnist", arguments.data_dir)
    except UserError as error:
        print(f"speed: error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as root:
        contestants = {"textbook": textbook_epoch(dataset, Path(root))}
        contestants |= {mode: mode_epoch(mode, dataset) for mode in MODES}
        medians = interleaved(contestants, arguments.rounds)
    print("seconds an epoch, training plus evaluation, median of", arguments.rounds)
    for name, seconds in medians.items():
        print(f"{name:10s} {seconds:8.3f} {medians['textbook'] / seconds:7.1f}× as fast as the textbook loop")
    return 0


if __name__ == "__main__":
    sys.exit(main())
