"""The figures of an epoch: a field is a column of `metrics.csv`, and a loss or an accuracy a curve in TensorBoard."""

import math
from typing import NamedTuple


class EpochResult(NamedTuple):
    """The figures of one epoch. Losses are means over samples, accuracies are fractions, `seconds` covers it all."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether the train and test losses are; if not, training has diverged."""
        return math.isfinite(self.train_loss) and math.isfinite(self.test_loss)
