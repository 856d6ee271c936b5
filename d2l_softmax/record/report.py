"""What is reported of a run that has ended: pictures, as PNG files and in TensorBoard, and scores."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.data.datasets import Dataset
from d2l_softmax.record import pictures
from d2l_softmax.training import Batches, EpochResult, Learner, train_mode


@torch.no_grad()
def draw_run(
    folder: Path,
    writer: SummaryWriter,
    dataset: Dataset,
    learner: Learner,
    test_iter: Batches,
    history: Sequence[EpochResult],
    mode: str,
) -> str:
    """Draw the data, the learned weights, the curves and where the model is right and wrong; return the scores.

    Args:
        folder, writer: the run's folder, and the writer of its event file.
        dataset: what it was trained on.
        learner, test_iter: what is judged, and on what.
        history: the results of all epochs, at least one.
        mode: how it was trained; the titles name it.
    """
    classes, max_value, epoch = dataset.classes, dataset.max_value, history[-1].epoch
    name = f"{mode} on {dataset.name}"
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
        show(folder / f"{tag}.png", writer, tag, figure, epoch)
    text = scores(counts, classes)
    writer.add_text("scores", f"```\n{text}\n```", epoch)
    return text


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
    figures = zip(right / predicted, right / true, 2 * right / (predicted + true), true, strict=True)
    width = max(map(len, classes))
    lines = [f"{'':{width}}  precision  recall      F1  images"]
    for name, (*values, count) in zip(classes, figures, strict=True):
        precision, recall, f1 = (float(value.nan_to_num()) for value in values)
        lines.append(f"{name:{width}}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {count:6d}")
    return "\n".join([*lines, f"accuracy {float(right.sum() / true.sum()):.4f} on {int(true.sum())} images", ""])


def show(path: Path, writer: SummaryWriter, tag: str, figure: Figure, step: int) -> None:
    """Write one picture to a PNG file and, the same bytes, to TensorBoard.

    `SummaryWriter.add_figure` would draw it a second time.
    """
    png = pictures.save(figure, path)
    width, height = figure.canvas.get_width_height()
    image = Summary.Image(encoded_image_string=png, height=height, width=width, colorspace=4)
    value = Summary.Value(tag=f"picture: {tag}", image=image)
    writer._get_file_writer().add_summary(Summary(value=[value]), step)
