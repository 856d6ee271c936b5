"""Evaluating within an epoch, from outside the loop."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from d2l_softmax.event_log import EventLog
from d2l_softmax.learner import Learner
from d2l_softmax.run_folder import CsvFile
from d2l_softmax.training import evaluate


class Midway:
    """A data iterator that calls `action(step)` after every `every` batches, counted over all passes.

    The loop asks for the next batch when it has taken its step on the one before, so that is when `action` sees the
    network.
    """

    def __init__(self, data_iter: Any, every: int, action: Callable[[int], None], steps_done: int = 0):
        self.data_iter, self.every, self.action = data_iter, every, action
        self.step = steps_done

    def __len__(self) -> int:
        return len(self.data_iter)

    def __iter__(self) -> Iterator:
        for batch in self.data_iter:
            yield batch
            self.step += 1
            if self.step % self.every == 0:
                self.action(self.step)


class StepTable:
    """Evaluates a learner, prints what it came to, and writes it to `steps.csv` and to curves by step.

    The curves lie in a folder of their own, `by-step`, because their steps are batches and not epochs.

    Args:
        folder: the run's.
        learner: what is evaluated.
        splits: the data to evaluate it on, by name.
        steps_done: by a run that is resumed; rows after that are dropped.
    """

    def __init__(self, folder: Path, learner: Learner, splits: dict[str, Any], steps_done: int = 0):
        self.learner, self.splits = learner, splits
        path = folder / "steps.csv"
        rows = []
        if steps_done and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= steps_done]
        names = ["step", *(f"{split}_{kind}" for split in splits for kind in ("loss", "accuracy"))]
        self.file = CsvFile(path, names, rows)
        self.event_log = EventLog(folder / "by-step", steps_done)

    def __call__(self, step: int) -> None:
        """Evaluate and report."""
        figures = {}
        for split, data_iter in self.splits.items():
            loss, accuracy = evaluate(self.learner.net, data_iter, self.learner.loss)
            figures |= {f"loss/{split}": loss, f"accuracy/{split}": accuracy}
        self.file.add([step, *figures.values()])
        self.event_log.add(figures, step)
        said = ", ".join(f"{' '.join(tag.split('/')[::-1])} {value:.4f}" for tag, value in figures.items())
        print(f"step {step}: {said}", flush=True)

    def close(self) -> None:
        """Write what is pending."""
        self.event_log.close()
