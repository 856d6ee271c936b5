"""The pictures of a run, as PNG files in its folder and in TensorBoard. Only imported where they are wanted."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from d2l_softmax import figures
from d2l_softmax.checkpoint import replace
from d2l_softmax.data import Dataset
from d2l_softmax.learner import Learner
from d2l_softmax.scratch import softmax
from d2l_softmax.training import Batches, EpochResult


class Gallery:
    """A listener that draws what the data are, how the weights develop and, in the end, where the model is wrong.

    Drawing the weights after every epoch would cost more than the epoch, so they are drawn at the start and after
    epochs 1, 2, 5, 10, 20, 50 and so on; their histogram is written after every epoch.

    Args:
        folder: the run's.
        writer: of its event file.
        dataset: what it is trained on.
        learner, test_iter: what is judged in the end, and on what.
        history: the epochs before, of a resumed run.
    """

    def __init__(
        self,
        folder: Path,
        writer: SummaryWriter,
        dataset: Dataset,
        learner: Learner,
        test_iter: Batches,
        history: tuple[EpochResult, ...] = (),
    ):
        self.folder, self.writer, self.dataset = folder, writer, dataset
        self.learner, self.test_iter, self.history = learner, test_iter, list(history)
        self.weights: Any = None
        if not history:
            self._samples()
            self._weights(0)
            self._graph()

    def __call__(self, result: EpochResult) -> None:
        """Write what is worth seeing after this epoch."""
        self.history.append(result)
        self.writer.add_histogram("weights", self.learner.W, result.epoch)
        if _is_drawn(result.epoch):
            self._weights(result.epoch)

    def finish(self) -> None:
        """Draw what a run comes to; it must have had an epoch."""
        dataset, step = self.dataset, self.history[-1].epoch
        if not _is_drawn(step):
            self._weights(step)
        self._show("curves", figures.curves(self.history, f"{dataset.name}, {step} epochs"), step)
        probabilities = self._probabilities()
        predicted, labels = probabilities.argmax(dim=1), dataset.test_labels
        seen = dataset.test_images, labels, probabilities, dataset.classes, dataset.white
        self._show("predictions", figures.predictions(*seen), step)
        self._show("mistakes", figures.mistakes(*seen), step)
        self._show("confusion", figures.confusion(labels, predicted, dataset.classes), step)
        self._show("scores", figures.scores(labels, predicted, dataset.classes), step)
        text = figures.scores_text(labels, predicted, dataset.classes)
        replace(self.folder / "scores.txt", text.encode())
        self.writer.add_text("scores", f"```\n{text}\n```", step)
        for k, name in enumerate(dataset.classes):
            self.writer.add_pr_curve(f"pr/{name}", labels == k, probabilities[:, k], step)

    def _samples(self) -> None:
        dataset = self.dataset
        drawn = figures.samples(dataset.train_images, dataset.train_labels, dataset.classes, dataset.white)
        self._show("samples", drawn, 0)

    def _weights(self, epoch: int) -> None:
        height, width = self.dataset.train_images.shape[2:]
        title = f"weights after epoch {epoch}" if epoch else "weights at the start"
        if self.weights is None:
            self.weights = figures.weights(self.learner.W, height, width, self.dataset.classes, title)
        else:
            figures.redraw_weights(self.weights, self.learner.W, title)
        self._show("weights", self.weights, epoch, "weights-at-the-start" if epoch == 0 else "weights")

    def _graph(self) -> None:
        """TensorBoard draws graphs of modules, which only the concise network is."""
        if isinstance(self.learner.net, nn.Module):
            X, _ = next(iter(self.test_iter))
            with warnings.catch_warnings():
                # TensorBoard's writer traces in a way that PyTorch is about to retire.
                warnings.simplefilter("ignore")
                self.writer.add_graph(self.learner.net, X[:1])

    @torch.no_grad()
    def _probabilities(self) -> Tensor:
        return torch.cat([softmax(self.learner.net(X)).cpu() for X, _ in self.test_iter])

    def _show(self, tag: str, figure: Any, step: int, name: str | None = None) -> None:
        show(self.folder / f"{name or tag}.png", self.writer, tag, figure, step)


def show(path: Path, writer: SummaryWriter, tag: str, figure: Any, step: int) -> None:
    """Put one picture into a PNG file and, the same bytes, into TensorBoard.

    `SummaryWriter.add_figure` would draw it a second time.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    png = buffer.getvalue()
    replace(path, png)
    width, height = figure.canvas.get_width_height()
    image = Summary.Image(encoded_image_string=png, height=height, width=width, colorspace=4)
    value = Summary.Value(tag=f"figures/{tag}", image=image)
    writer._get_file_writer().add_summary(Summary(value=[value]), step)


def _is_drawn(epoch: int) -> bool:
    """Whether the epoch is 1, 2 or 5 times a power of ten."""
    return str(epoch).rstrip("0") in ("1", "2", "5")
