"""What a run says while it runs: a table on stdout and, on a terminal, a progress bar on stderr."""

import sys
from collections.abc import Iterator
from typing import Any

from d2l_softmax.training import EpochResult


class EpochTable:
    """A listener that prints one line an epoch under the names of the columns."""

    def __init__(self, validation: bool):
        self.columns = ["train loss", "train acc", "test loss", "test acc"]
        self.fields = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
        if validation:
            self.columns += ["val loss", "val acc"]
            self.fields += ["validation_loss", "validation_accuracy"]
        print("epoch  " + "  ".join(self.columns) + "  seconds", flush=True)

    def __call__(self, result: EpochResult) -> None:
        """Print the line of one epoch."""
        figures = result._asdict()
        cells = (f"{figures[f]:{len(c)}.4f}" for f, c in zip(self.fields, self.columns, strict=True))
        print(f"{result.epoch:5d}  {'  '.join(cells)}  {result.seconds:7.3f}", flush=True)


class Progress:
    """A data iterator that shows a bar for each pass over it."""

    def __init__(self, data_iter: Any, first_epoch: int, num_epochs: int):
        self.data_iter, self.epoch, self.num_epochs = data_iter, first_epoch, num_epochs

    def __iter__(self) -> Iterator:
        from tqdm import tqdm

        name = f"epoch {self.epoch}/{self.num_epochs}"
        self.epoch += 1
        yield from tqdm(self.data_iter, desc=name, unit="batch", leave=False, delay=0.5)


def with_progress(data_iter: Any, first_epoch: int, num_epochs: int) -> Any:
    """Wrap `data_iter` in a `Progress` where stderr is a terminal, and leave it alone where it is not."""
    return Progress(data_iter, first_epoch, num_epochs) if sys.stderr.isatty() else data_iter
