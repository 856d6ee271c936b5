"""Pictures of data, weights, predictions and training, drawn with matplotlib.

Every function returns a figure and touches no global state: there is no pyplot here. The figures are about as wide
as TensorBoard shows images. What colour tells, a symbol, a line style or a number tells too, and the colours
(Okabe and Ito's, and maps without red against green) are ones that colour-blind readers tell apart.
"""

import math
import os
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike
from sklearn.metrics import classification_report, confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from d2l_softmax.training import EpochResult

WIDTH = 6.4  # inches, which at DPI are 640 pixels
DPI = 100
GRID_COLUMNS = 5
MOST_IMAGES = 25
MOST_CLASSES_WITH_COUNTS = 15
MOST_CLASS_LABELS = 40
MOST_LETTERS_AT_IMAGE, MOST_LETTERS_AT_AXIS = 12, 24

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY_BLUE, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")

RIGHT, WRONG = "✓", "✗"


class _Figure(Figure):
    """Shows every text as it is written, and keeps quiet about letters that the font lacks."""

    def draw(self, renderer):
        for text in self.findobj(Text):
            text.set_parse_math(False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            super().draw(renderer)


def samples(images: Tensor, labels: ArrayLike, classes: Sequence[str], white: int) -> Figure:
    """Draw the first 25 images with the names of their classes.

    Args:
        images: uint8 (n, 1, height, width).
        labels: class indices (n,).
        classes: one name a class.
        white: the byte that stands for an intensity of 1.
    """
    shown = _array(images)[:MOST_IMAGES, 0]
    names = [_short(classes[label]) for label in _array(labels)[:MOST_IMAGES]]
    return _grid(shown, names, title="The first images", cmap="gray", limits=(0, white))


def weights(W: Tensor, height: int, width: int, classes: Sequence[str], title: str) -> Figure:
    """Draw each class's weights as an image, the first 25 where there are more, all on one scale about zero.

    Args:
        W: weights (height × width, classes).
        height, width: of the images, in pixels.
        classes: one name a class.
        title: what these weights are.
    """
    columns, limit, title = _columns(W, height, width, title)
    names = [_short(name) for name in classes[: len(columns)]]
    figure = _grid(columns, names, title=title, cmap="RdBu_r", limits=(-limit, limit), extra=0.6)
    axes = figure.axes
    bar = figure.colorbar(axes[0].images[0], ax=axes, location="bottom", aspect=40, shrink=0.9)
    bar.set_label("weight: a bright pixel speaks for the class (above 0) or against it (below 0)", fontsize=9)
    bar.ax.tick_params(labelsize=9)
    return figure


def redraw_weights(figure: Figure, W: Tensor, title: str) -> None:
    """Put other weights into a figure that `weights` made and that has been drawn, which spares its layout."""
    figure.set_layout_engine("none")
    images = [ax.images[0] for ax in figure.axes if ax.images]
    columns, limit, title = _columns(W, *images[0].get_array().shape, title)
    for image, column in zip(images, columns, strict=True):
        image.set_data(column)
        image.set_clim(-limit, limit)
    figure.suptitle(title, fontsize=11)


def _columns(W: Tensor, height: int, width: int, title: str) -> tuple[np.ndarray, float, str]:
    """The columns that are drawn as images (n, height, width), the end of their scale, and the title."""
    columns = _array(W).T.reshape(-1, height, width)
    if len(columns) > MOST_IMAGES:
        title = f"{title} (the first {MOST_IMAGES} of {len(columns)} classes)"
        columns = columns[:MOST_IMAGES]
    return columns, np.abs(columns[np.isfinite(columns)]).max(initial=0) or 1.0, title


def predictions(
    images: Tensor, labels: ArrayLike, probabilities: Tensor, classes: Sequence[str], white: int
) -> Figure:
    """Draw the first ten images with the class predicted for each, its probability, and the true class.

    Args:
        images: uint8 (n, 1, height, width).
        labels: true class indices (n,).
        probabilities: of each class, (n, classes).
        classes: one name a class.
        white: the byte that stands for an intensity of 1.
    """
    labels, probabilities = _array(labels)[:10], _array(probabilities)[:10]
    right = int((probabilities.argmax(axis=1) == labels).sum())
    title = f"The first images: {right} right ({RIGHT}, solid), {len(labels) - right} wrong ({WRONG}, dashed)"
    return _judged(_array(images)[:10], labels, probabilities, classes, white, title)


def mistakes(images: Tensor, labels: ArrayLike, probabilities: Tensor, classes: Sequence[str], white: int) -> Figure:
    """Draw the images, ten at most, that are misclassified with the highest probability, highest first.

    The title says how many of all images and of the first hundred are misclassified. The arguments are those of
    `predictions`.
    """
    labels, probabilities = _array(labels), _array(probabilities)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    counts = _of(len(wrong), len(labels))
    if len(labels) > 100:
        counts += f" and {(wrong < 100).sum()} of the first 100"
    if not len(wrong):
        figure = _figure(1.5, f"Wrong: {counts}")
        figure.text(0.5, 0.4, f"{RIGHT} no mistakes", ha="center", va="center", fontsize=14)
        return figure
    chosen = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")[:10]]
    title = f"Wrong: {counts}. The surest mistakes:"
    return _judged(_array(images)[chosen], labels[chosen], probabilities[chosen], classes, white, title)


def confusion(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix: true classes in rows, predicted ones in columns.

    A cell holds its count, where the classes are few enough to read it, and its colour is the share of its row.

    Args:
        labels: true class indices (n,).
        predicted: predicted class indices (n,).
        classes: one name a class.
    """
    counts = confusion_matrix(_array(labels), _array(predicted), labels=range(len(classes)))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    title = f"Confusion matrix: {_of(int(counts.trace()), int(counts.sum()))} right"
    figure = _figure(5.4, title, layout="compressed")
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    _name_classes(ax.xaxis, classes, across=True)
    _name_classes(ax.yaxis, classes)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    figure.colorbar(image, ax=ax, shrink=0.8, label="share of the true class")
    if len(classes) <= MOST_CLASSES_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.7 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def scores(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw each class's precision, recall and F1, which are 0 where they are not defined.

    The arguments are those of `confusion`.
    """
    values = precision_recall_fscore_support(
        _array(labels), _array(predicted), labels=range(len(classes)), zero_division=0
    )
    rows = np.arange(len(classes))
    figure = _figure(min(1.4 + 0.34 * len(classes), 14), "Precision, recall and F1 of every class")
    ax = figure.subplots()
    ax.hlines(rows, 0, 1, color="0.85", linewidth=0.8, zorder=0)
    for name, value, offset, colour, marker in zip(
        ("precision", "recall", "F1"), values, (-0.22, 0, 0.22), COLOURS, MARKERS, strict=False
    ):
        style = {"color": colour, "marker": marker, "markersize": 5, "clip_on": False}
        ax.plot(value, rows + offset, linestyle="none", label=name, **style)
    _name_classes(ax.yaxis, classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_xlim(max(0.0, math.floor(10 * np.min(values[:3]) - 0.2) / 10), 1)
    ax.grid(axis="x", color="0.85")
    _legend(figure, [ax])
    return figure


def scores_text(labels: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> str:
    """Return scikit-learn's table of precision, recall, F1 and support, for each class and on average.

    The arguments are those of `confusion`.
    """
    return classification_report(
        _array(labels),
        _array(predicted),
        labels=range(len(classes)),
        target_names=list(classes),
        digits=4,
        zero_division=0,
    )


def curves(results: Sequence[EpochResult], title: str) -> Figure:
    """Draw the losses and the accuracies of one run by epoch: train, test and, where there is one, validation."""
    figure = _figure(3.8, title)
    panels = figure.subplots(1, 2)
    for ax, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        for part, colour, dashes, marker in zip(
            ("train", "test", "validation"), COLOURS, DASHES, MARKERS, strict=False
        ):
            points = [(result.epoch, getattr(result, f"{part}_{quantity}")) for result in results]
            points = [point for point in points if point[1] is not None]
            if points:
                _line(ax, *zip(*points, strict=True), color=colour, linestyle=dashes, marker=marker, label=part)
        ax.set_title(quantity, fontsize=10)
        _by_epoch(ax)
    _legend(figure, panels)
    return figure


def modes(results_by_mode: Mapping[str, Sequence[EpochResult]]) -> Figure:
    """Draw the curves of several runs over each other, ever thinner, so that all show where they coincide.

    Args:
        results_by_mode: the results of each run by its name.
    """
    figure = _figure(5.4, f"{', '.join(results_by_mode)}: one over the other")
    panels = figure.subplots(2, 2)
    widths = np.linspace(7, 1.5, len(results_by_mode))
    quantities = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    for ax, quantity in zip(panels.T.flat, quantities, strict=True):
        # The widest line, at the bottom, is pale and the thinnest, on top, is dark.
        styles = zip(cycle((SKY_BLUE, VERMILLION, BLACK, PURPLE, GREEN)), cycle(DASHES), cycle(MARKERS), widths)
        for (name, results), (colour, dashes, marker, width) in zip(results_by_mode.items(), styles, strict=False):
            epochs = [result.epoch for result in results]
            values = [getattr(result, quantity) for result in results]
            style = {"color": colour, "linestyle": dashes, "marker": marker, "label": name}
            _line(ax, epochs, values, linewidth=width, markersize=width + 3, **style)
        ax.set_title(quantity.replace("_", " "), fontsize=10)
        _by_epoch(ax)
    _legend(figure, panels.flat)
    return figure


def drift(drifts: Sequence[tuple[float, float]]) -> Figure:
    """Draw how far runs are apart, by epoch from 1, on a logarithmic axis; zeros are hollow points at its bottom.

    Args:
        drifts: after each epoch the largest difference of an entry of the weights and of a loss.
    """
    values = np.array(drifts, dtype=float).reshape(-1, 2)
    epochs = np.arange(1, len(values) + 1)
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        positive = np.array([1e-16])
    bottom = 10.0 ** math.floor(math.log10(positive.min() / 2))
    top = 10.0 ** math.ceil(math.log10(positive.max() * 2))
    title = "Largest difference between any two runs"
    if (values == 0).any():
        title += " (hollow, at the bottom: exactly 0)"
    figure = _figure(4.0, title)
    ax = figure.subplots()
    for name, column, colour, dashes, marker, size in zip(
        ("weights", "loss"), values.T, COLOURS, DASHES, MARKERS, (11, 6), strict=False
    ):
        zeros = epochs[column == 0]
        drawn = np.where(column == 0, np.nan, column)
        # Every point has its marker, because between two zeros there is no line to show it.
        _line(ax, epochs, drawn, color=colour, linestyle=dashes, marker=marker, markevery=1, label=name)
        if zeros.size:
            hollow = {"marker": marker, "markersize": size, "color": colour, "markerfacecolor": "none"}
            ax.plot(zeros, np.full(len(zeros), bottom), linestyle="none", clip_on=False, **hollow)
    _by_epoch(ax)
    ax.set_ylabel("difference")
    ax.set_ylim(bottom, top)
    _logarithmic(ax)
    _legend(figure, [ax])
    return figure


def sweep(losses_by_value: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the training loss by epoch, from 1, for every value of a setting.

    A run has diverged if it has fewer epochs than the longest or its last loss is not finite. The legend says so, and
    a cross marks its last finite loss. The axis is logarithmic where the losses are more than tenfold apart.

    Args:
        losses_by_value: mean training losses by the value's name, `lr=0.1`.
        title: what is varied.
    """
    figure = _figure(4.0 + 0.08 * len(losses_by_value), title)
    ax = figure.subplots()
    longest = max(map(len, losses_by_value.values()), default=0)
    for (value, losses), colour, dashes, marker in zip(
        losses_by_value.items(), cycle(COLOURS), cycle(DASHES), cycle(MARKERS), strict=False
    ):
        losses = np.array(losses, dtype=float)
        epochs = np.arange(1, len(losses) + 1)
        finite = np.isfinite(losses)
        diverged = len(losses) < longest or not finite[-1:].all()
        losses = np.where(finite, losses, np.nan)
        label = f"{value} (diverged)" if diverged else value
        _line(ax, epochs, losses, color=colour, linestyle=dashes, marker=marker, label=label)
        if diverged and finite.any():
            last = np.flatnonzero(finite)[-1]
            ax.plot(epochs[last], losses[last], color=colour, marker="x", markersize=14, markeredgewidth=2.5)
    _by_epoch(ax)
    ax.set_ylabel("train loss")
    drawn = np.array([loss for losses in losses_by_value.values() for loss in losses if 0 < loss < math.inf])
    if drawn.size and drawn.max() > 10 * drawn.min():
        _logarithmic(ax)
    _legend(figure, [ax])
    return figure


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as PNG, so that no reader ever finds half of it at `path`."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(partial, format="png", dpi=DPI)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _array(values: ArrayLike) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _short(name: str, most: int = MOST_LETTERS_AT_IMAGE) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _figure(height: float, title: str, layout: str = "constrained") -> Figure:
    title = textwrap.fill(title, 76)
    figure = _Figure(figsize=(WIDTH, height + 0.35 + 0.17 * title.count("\n")), dpi=DPI, layout=layout)
    figure.suptitle(title, fontsize=11)
    return figure


def _grid(
    images: np.ndarray,
    above: Sequence[str],
    below: Sequence[str] = (),
    *,
    title: str,
    cmap: str,
    limits: tuple[float, float],
    extra: float = 0.0,
) -> Figure:
    """Images (n, height, width) in rows of five, with a text above and perhaps one below each.

    `extra` is height, in inches, for what else the figure is to hold.
    """
    columns = max(1, min(GRID_COLUMNS, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    height, width = images.shape[1:]
    lines = sum(1 + max(text.count("\n") for text in texts) for texts in (above, below) if texts)
    cell = (WIDTH / columns - 0.08) * min(2.0, height / width)
    figure = _figure(extra + rows * (cell + 0.08 + 0.17 * lines), title, layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes[len(images) :]:
        ax.remove()
    for i, image in enumerate(images):
        axes[i].imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
        axes[i].set_title(above[i], fontsize=9, pad=4)
        axes[i].set_xlabel(below[i] if below else "", fontsize=9)
        axes[i].set_xticks([])
        axes[i].set_yticks([])
    return figure


def _judged(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    white: int,
    title: str,
) -> Figure:
    """Images (n, 1, height, width) with the prediction above and the truth below, framed by whether they agree."""
    above, below = [], []
    predicted = probabilities.argmax(axis=1)
    for label, guess, probability in zip(labels, predicted, probabilities, strict=True):
        above.append(f"{RIGHT if guess == label else WRONG} {_short(classes[guess])}\n{probability[guess]:.1%}")
        truth = f"true: {_short(classes[label])}"
        below.append(truth if guess == label else f"{truth}\n{probability[label]:.1%}")
    figure = _grid(images[:, 0], above, below, title=title, cmap="gray", limits=(0, white))
    for ax, right in zip(figure.axes, predicted == labels, strict=True):
        dashes = "-" if right else (0, (2, 1.5))
        ax.spines[:].set(color=BLUE if right else VERMILLION, linestyle=dashes, linewidth=2.5)
    return figure


def _name_classes(axis: Axis, classes: Sequence[str], *, across: bool = False) -> None:
    """Name every class at its index or, where they are too many, every second, third, …

    Names `across` the figure are slanted where they would run into each other.
    """
    step = math.ceil(len(classes) / MOST_CLASS_LABELS)
    names = [_short(name, MOST_LETTERS_AT_AXIS) for name in classes[::step]]
    axis.set_ticks(range(0, len(classes), step), names)
    axis.set_tick_params(labelsize=9 if len(classes) <= MOST_CLASSES_WITH_COUNTS else 7)
    if across and len(names) * max(map(len, names)) > 50:
        for text in axis.get_ticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")


def _line(ax: Axes, epochs: Sequence[int], values: Sequence[float], **style) -> None:
    usual = {"linewidth": 1.8, "markersize": 5, "markevery": max(1, len(epochs) // 10)}
    ax.plot(epochs, values, **{**usual, **style})


def _by_epoch(ax: Axes) -> None:
    ax.set_xlabel("epoch", fontsize=9)
    low, high = ax.get_xlim()
    ticks = MaxNLocator(integer=True, min_n_ticks=1, nbins=6).tick_values(low, high)
    ax.set_xticks([tick for tick in ticks if 1 <= tick <= high])  # there is no epoch 0
    ax.tick_params(labelsize=9)
    ax.grid(color="0.88")


def _logarithmic(ax: Axes) -> None:
    """Make the vertical axis logarithmic, its labels plain text."""
    ax.set_yscale("log", nonpositive="mask")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Put one legend for all panels below them, where it hides nothing."""
    entries = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        columns = max(1, min(4, 92 // (11 + max(map(len, entries)))))
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=columns, fontsize=9, handlelength=4
        )
