"""Everything that is written about one run, in one listener."""

from pathlib import Path

import torch

from d2l_softmax.data.datasets import Dataset
from d2l_softmax.metrics import EpochResult
from d2l_softmax.record import checkpoint, tensorboard
from d2l_softmax.record.files import append_csv, replace, write_csv
from d2l_softmax.record.run_folder import write_config
from d2l_softmax.training import Batches, Learner

METRICS, SCORES = "metrics.csv", "scores.txt"


def has_pictures(folder: Path) -> bool:
    """Whether the pictures of a run have all been drawn; the scores are written after them."""
    return (folder / SCORES).exists()


class Recorder:
    """Writes a run's settings, metrics, curves, checkpoint and pictures into its folder.

    Args:
        folder: the run's.
        config: the content of `config.json`.
        learner, generator: whose state is kept; the generator is that of the training order.
        history: the results of all epochs so far, to which the caller adds.
        identity: what tells the run from another one, for its checkpoint.
        hparams: what TensorBoard's HParams shows, of a member of a sweep.
    """

    def __init__(
        self,
        folder: Path,
        config: dict,
        learner: Learner,
        generator: torch.Generator,
        history: list[EpochResult],
        identity: dict,
        hparams: dict[str, float] | None = None,
    ):
        self.folder, self.mode = folder, config["settings"]["mode"]
        self.learner, self.generator, self.history, self.identity = learner, generator, history, identity
        write_config(folder, config)
        for picture in (folder / SCORES, *folder.glob("*.png")):
            picture.unlink(missing_ok=True)
        validation = bool(config["settings"]["validation"])
        self.columns = [name for name in EpochResult._fields if validation or not name.startswith("validation")]
        write_csv(folder / METRICS, [self.columns, *map(self._row, history)])
        self.writer = tensorboard.event_writer(folder, len(history))
        tensorboard.write_settings(self.writer, config["settings"])
        if hparams:
            tensorboard.write_hparams(self.writer, hparams, validation)

    def __call__(self, result: EpochResult) -> None:
        """Record one epoch. The checkpoint comes last: what it says is done has been written everywhere else."""
        append_csv(self.folder / METRICS, self._row(result))
        tensorboard.write_epoch(self.writer, result, self.learner)
        checkpoint.save(self.folder, self.learner, self.generator, self.history, self.identity)

    def _row(self, result: EpochResult) -> list:
        return [getattr(result, name) for name in self.columns]

    def draw(self, dataset: Dataset, test_iter: Batches) -> None:
        """Draw the pictures of a run that has ended."""
        # Imported only where there are pictures: matplotlib takes as long as several epochs.
        from d2l_softmax.record.report import draw_run

        scores = draw_run(self.folder, self.writer, dataset, self.learner, test_iter, self.history, self.mode)
        self.writer.flush()
        replace(self.folder / SCORES, scores.encode())

    def close(self) -> None:
        """Write what is pending."""
        self.writer.close()
