"""Runs as a user makes them, and what their folders hold."""

import csv
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax.commands.train import main


def train(logdir: Path, name: str, *arguments: object, figures: bool = False) -> int:
    """Train two epochs on the digits in a folder of that name, unless the arguments say otherwise; they are split."""
    words = [word for words in arguments for word in (words.split() if isinstance(words, str) else [str(words)])]
    fixed = ["--dataset", "digits", "--epochs", "2", "--logdir", str(logdir), "--run-name", name]
    return main([*fixed, *words, *([] if figures else ["--no-figures"])])


def rows(folder: Path, name: str = "metrics.csv") -> list[dict[str, str]]:
    """The rows of a table, without their seconds; none where there is no table."""
    lines = (folder / name).read_text().splitlines() if (folder / name).exists() else []
    return [{column: cell for column, cell in row.items() if column != "seconds"} for row in csv.DictReader(lines)]


def figures(folder: Path, name: str = "metrics.csv") -> torch.Tensor:
    """The same as numbers, a row each."""
    return torch.tensor([list(map(float, row.values())) for row in rows(folder, name)], dtype=torch.float64)


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every point of the curves that TensorBoard shows, by tag."""
    events = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def checkpoint(folder: Path) -> dict:
    """What the checkpoint holds."""
    return torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
