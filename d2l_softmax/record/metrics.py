"""`metrics.csv`: a row for each epoch of a run."""

from collections.abc import Sequence
from pathlib import Path

from d2l_softmax.record.files import CsvFile
from d2l_softmax.training import EpochResult

METRICS = "metrics.csv"


class MetricsFile:
    """The results of a run's epochs; the columns are the fields of `EpochResult`.

    Args:
        folder: the run's.
        history: the results of the epochs before, of a resumed run.
        validation: whether there are validation figures, which come last.
    """

    def __init__(self, folder: Path, history: Sequence[EpochResult], validation: bool):
        self.columns = EpochResult._fields if validation else EpochResult._fields[:6]
        self.file = CsvFile(folder / METRICS, self.columns, map(self._row, history))

    def __call__(self, result: EpochResult) -> None:
        """Add the row of one epoch."""
        self.file.add(self._row(result))

    def _row(self, result: EpochResult) -> tuple:
        return result[: len(self.columns)]
