"""What a run says while it runs: a table on stdout and, on a terminal, a progress bar on stderr."""

import sys
from collections.abc import Iterator
from typing import Any

from d2l_softmax.training import EpochResult

HEADER = "epoch  train loss  train acc  test loss  test acc  seconds"


def print_epoch(result: EpochResult) -> None:
    """Print one line of the table under `HEADER`."""
    print(
        f"{result.epoch:5d}  {result.train_loss:10.4f}  {result.train_accuracy:9.4f}  {result.test_loss:9.4f}  "
        f"{result.test_accuracy:8.4f}  {result.seconds:7.3f}",
        flush=True,
    )


class Progress:
    """A data iterator that shows a bar for each pass over it."""

    def __init__(self, data_iter: Any, num_epochs: int):
        self.data_iter = data_iter
        self.num_epochs = num_epochs
        self.epoch = 0

    def __iter__(self) -> Iterator:
        from tqdm import tqdm

        self.epoch += 1
        yield from tqdm(
            self.data_iter, desc=f"epoch {self.epoch}/{self.num_epochs}", unit="batch", leave=False, delay=0.5
        )


def with_progress(data_iter: Any, num_epochs: int) -> Any:
    """Wrap `data_iter` in a `Progress` where stderr is a terminal, and leave it alone where it is not."""
    return Progress(data_iter, num_epochs) if sys.stderr.isatty() else data_iter
