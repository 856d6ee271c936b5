"""Everything that is written about one run, in one listener."""

from pathlib import Path

import torch

from d2l_softmax.data.datasets import Dataset
from d2l_softmax.record import checkpoint
from d2l_softmax.record.files import replace
from d2l_softmax.record.metrics import MetricsFile
from d2l_softmax.record.run_folder import write_config
from d2l_softmax.record.tensorboard import EventLog
from d2l_softmax.training import Batches, EpochResult, Learner

SCORES = "scores.txt"
PICTURES = ("samples", "weights", "curves", "predictions", "mistakes", "confusion")


def has_pictures(folder: Path) -> bool:
    """Whether the pictures of a run have all been drawn; the scores are written after them."""
    return (folder / SCORES).exists()


class Recorder:
    """Writes a run's settings, metrics, curves, checkpoints and pictures into its folder.

    Args:
        folder: the run's.
        config: the content of `config.json`.
        learner, generator: whose state is kept; the generator is that of the training order.
        history: the results of the epochs before, of a resumed run.
        validation: whether there are validation figures.
        hparams: what TensorBoard's HParams shows, of a member of a sweep.
    """

    def __init__(
        self,
        folder: Path,
        config: dict,
        learner: Learner,
        generator: torch.Generator,
        history: list[EpochResult],
        validation: bool,
        hparams: dict[str, float] | None = None,
    ):
        self.folder, self.learner, self.generator, self.history = folder, learner, generator, list(history)
        write_config(folder, config)
        for name in (SCORES, *(f"{picture}.png" for picture in PICTURES)):
            (folder / name).unlink(missing_ok=True)
        self.metrics = MetricsFile(folder, history, validation)
        self.event_log = EventLog(folder, len(history))
        settings = [f"| {name} | {value} |" for name, value in config["settings"].items() if value is not None]
        self.event_log.writer.add_text("settings", "\n".join(["| setting | value |", "| --- | --- |", *settings]), 0)
        if hparams:
            self.event_log.add_hparams(hparams, validation)

    def __call__(self, result: EpochResult) -> None:
        """Record one epoch. The checkpoint comes last: what it says is done has been written everywhere else."""
        self.history.append(result)
        self.metrics(result)
        self.event_log(result)
        # TensorBoard's bins end at 1e20, and weights that are all beyond it would be an error.
        self.event_log.writer.add_histogram("weights", self.learner.W.clamp(-1e19, 1e19), result.epoch)
        checkpoint.save(self.folder, self.learner, self.generator, self.history)

    def draw(self, dataset: Dataset, test_iter: Batches) -> None:
        """Draw the pictures of a run that has ended."""
        # Imported only where there are pictures: matplotlib takes as long as several epochs.
        from d2l_softmax.record.report import draw_run

        scores = draw_run(self.folder, self.event_log.writer, dataset, self.learner, test_iter, self.history)
        self.event_log.writer.flush()
        replace(self.folder / SCORES, scores.encode())

    def close(self) -> None:
        """Write what is pending."""
        self.event_log.close()
