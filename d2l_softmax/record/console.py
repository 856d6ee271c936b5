"""What is printed while a run trains: a table on stdout and, on a terminal, a progress bar on stderr."""

from collections.abc import Iterable
from typing import Any

import tqdm

from d2l_softmax.metrics import EpochResult

# The columns of the table: heading, field of `EpochResult`, decimals.
_COLUMNS = [
    ("train loss", "train_loss", 4),
    ("train acc", "train_accuracy", 4),
    ("test loss", "test_loss", 4),
    ("test acc", "test_accuracy", 4),
    ("val loss", "validation_loss", 4),
    ("val acc", "validation_accuracy", 4),
    ("seconds", "seconds", 3),
]


class EpochTable:
    """Prints one line per epoch under the names of the columns.

    Args:
        validation: whether there are validation figures.
        more: the headings of further columns.
    """

    def __init__(self, validation: bool, *more: str):
        self.columns = [column for column in _COLUMNS if validation or not column[0].startswith("val")]
        self.more = more
        print("epoch", *(column[0] for column in self.columns), *more, sep="  ", flush=True)

    def add(self, result: EpochResult, *more: float) -> None:
        """Print the line of one epoch, with a value for each further column."""
        cells = [f"{getattr(result, field):{len(head)}.{d}f}" for head, field, d in self.columns]
        cells += [f"{value:{len(head)}.1e}" for head, value in zip(self.more, more, strict=True)]
        print(f"{result.epoch:5d}", *cells, sep="  ", flush=True)


def batch_bar(data_iter: Iterable[Any], epoch: int, num_epochs: int) -> Iterable[Any]:
    """Show a bar for the batches of an epoch, where stderr is a terminal."""
    name = f"epoch {epoch}/{num_epochs}"
    return tqdm.tqdm(data_iter, desc=name, unit="batch", leave=False, delay=0.5, disable=None)
