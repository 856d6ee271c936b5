"""Everything that is written about one run, in one listener, and the scores that are written at its end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from d2l_softmax.data.datasets import Dataset
from d2l_softmax.metrics import EpochResult
from d2l_softmax.record import checkpoint, tensorboard
from d2l_softmax.record.run_folder import append_csv, replace, write_config, write_csv
from d2l_softmax.training import Batches, Learner, train_mode

METRICS, SCORES = "metrics.csv", "scores.txt"  # where there are scores, all pictures have been drawn


class Recorder:
    """Writes a run's settings, metrics, curves, checkpoint and pictures into its folder.

    Args:
        folder: the run's.
        config: the content of `config.json`.
        history: the results of all epochs so far.
    """

    def __init__(self, folder: Path, config: dict, history: list[EpochResult]):
        self.folder, self.mode = folder, config["settings"]["mode"]
        write_config(folder, config)
        for picture in (folder / SCORES, *folder.glob("*.png")):
            picture.unlink(missing_ok=True)
        validation = bool(config["settings"]["validation"])
        self.columns = [name for name in EpochResult._fields if validation or not name.startswith("validation")]
        write_csv(folder / METRICS, [self.columns, *map(self._row, history)])
        self.writer = tensorboard.event_writer(folder, len(history))
        tensorboard.write_settings(self.writer, config["settings"])

    def __call__(self, result: EpochResult, state: dict[str, Any]) -> None:
        """Record one epoch, with the state after it, of which `W` are the weights.

        The checkpoint comes last: what it says is done has been written everywhere else.
        """
        append_csv(self.folder / METRICS, self._row(result))
        tensorboard.write_epoch(self.writer, result, state["W"])
        checkpoint.save(self.folder, state)

    def _row(self, result: EpochResult) -> list:
        return [getattr(result, name) for name in self.columns]

    @torch.no_grad()
    def draw(self, learner: Learner, dataset: Dataset, test_iter: Batches, history: list[EpochResult]) -> None:
        """Draw the data, the learned weights, the curves and where the model is right and wrong; write the scores."""
        # Imported only where there are pictures: matplotlib takes as long as several epochs.
        from d2l_softmax.record import pictures

        classes, max_value, epoch = dataset.classes, dataset.max_value, len(history)
        name = f"{self.mode} on {dataset.name}"
        with train_mode(learner.net, training=False):
            probabilities = torch.cat([learner.probabilities(learner.net(X)).cpu() for X, _ in test_iter])
        counts = confusion_matrix(dataset.test_labels, probabilities.argmax(dim=1), len(classes))
        judged = dataset.test_images, dataset.test_labels, probabilities, classes, max_value
        weights = learner.W, *dataset.train_images.shape[2:], classes
        figures = {
            "samples": pictures.samples(dataset.train_images, dataset.train_labels, classes, max_value),
            "weights": pictures.weights(*weights, f"{name}: weights after epoch {epoch}"),
            "curves": pictures.curves(history, f"{name}, {epoch} {'epoch' if epoch == 1 else 'epochs'}"),
            "predictions": pictures.predictions(*judged, f"{name}: the first test images after epoch {epoch}"),
            "mistakes": pictures.mistakes(*judged),
            "confusion": pictures.confusion(counts, classes),
        }
        for tag, figure in figures.items():
            pictures.show(figure, self.folder / f"{tag}.png", self.writer, tag, epoch)
        text = scores(counts, classes)
        self.writer.add_text("scores", f"```\n{text}\n```", epoch)
        self.writer.flush()
        replace(self.folder / SCORES, text.encode())


def confusion_matrix(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Count how often each true class (row) is predicted as each class (column): int64 (classes, classes).

    scikit-learn has it too, but importing its metrics takes as long as training for ten epochs.
    """
    return torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, num_classes)


def scores(counts: Tensor, classes: Sequence[str]) -> str:
    """Return a table of precision, recall and F1 of each class, 0 where undefined, from the confusion matrix.

    Precision is the share of a class's predictions that are right, recall the share of its images that are found, and
    F1 = 2 · right / (predicted + true) is their harmonic mean.
    """
    right, true, predicted = counts.diagonal().double(), counts.sum(dim=1), counts.sum(dim=0)
    figures = torch.stack([right / predicted, right / true, 2 * right / (predicted + true)], dim=1).nan_to_num()
    width = max(map(len, classes))
    lines = [f"{'':{width}}  precision  recall      F1  images"]
    for name, (precision, recall, f1), count in zip(classes, figures.tolist(), true.tolist(), strict=True):
        lines.append(f"{name:{width}}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {count:6d}")
    return "\n".join([*lines, f"accuracy {float(right.sum() / true.sum()):.4f} on {int(true.sum())} images", ""])
