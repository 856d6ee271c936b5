"""Pictures of data, weights, predictions and training, drawn with matplotlib.

Every function returns a figure and touches no global state: there is no pyplot here. The figures are about as wide
as TensorBoard shows images. What colour tells, a symbol, a line style or a number tells too, and the colours
(Okabe and Ito's, and maps without red against green) are ones that colour-blind readers tell apart.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from torch import Tensor

from d2l_softmax.record.files import replace
from d2l_softmax.training import EpochResult

WIDTH = 6.4  # inches, which at DPI are 640 pixels
HEAD = 0.35  # inches for a title of one line
DPI = 100
GRID_COLUMNS = 5
MAX_IMAGES = 25
MAX_CLASSES_WITH_COUNTS = 15
MAX_CLASS_LABELS = 40
MAX_LETTERS = 12

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY_BLUE, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
IMAGE_COLOURS, WEIGHT_COLOURS, SHARE_COLOURS = "gray", "RdBu_r", "Blues"

RIGHT, WRONG = "✓", "✗"


def save(figure: Figure, path: Path) -> bytes:
    """Write a figure as PNG, complete or not at all, and return the bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    replace(path, buffer.getvalue())
    return buffer.getvalue()


def samples(images: Tensor, labels: ArrayLike, classes: Sequence[str], max_value: int) -> Figure:
    """Draw the first 25 images with the names of their classes.

    Args:
        images: uint8 (n, 1, height, width).
        labels: class indices (n,).
        classes: one name per class.
        max_value: the byte that stands for an intensity of 1.
    """
    names = [_short(classes[label]) for label in _array(labels)[:MAX_IMAGES]]
    return _grid(_array(images)[:MAX_IMAGES, 0], names, title="The first training images", limits=(0, max_value))


def weights(W: Tensor, height: int, width: int, classes: Sequence[str], title: str) -> Figure:
    """Draw each class's weights as an image, the first 25 where there are more, all on one scale about zero.

    Args:
        W: weights (height × width, classes).
        height, width: of the images, in pixels.
        classes: one name per class.
        title: what these weights are.
    """
    columns = _array(W).T[:MAX_IMAGES].reshape(-1, height, width)
    limit = np.abs(columns[np.isfinite(columns)]).max(initial=0) or 1.0
    if len(classes) > MAX_IMAGES:
        title += f" (the first {MAX_IMAGES} of {len(classes)} classes)"
    names = [_short(name) for name in classes[:MAX_IMAGES]]
    figure = _grid(columns, names, title=title, cmap=WEIGHT_COLOURS, limits=(-limit, limit), extra=0.65)
    place = figure.add_axes((0.05, 0.45 / figure.get_figheight(), 0.9, 0.12 / figure.get_figheight()))
    bar = figure.colorbar(figure.axes[0].images[0], cax=place, orientation="horizontal")
    bar.set_label("weight: a bright pixel speaks for the class where this is red, against it where blue", fontsize=9)
    bar.ax.tick_params(labelsize=9)
    return figure


def predictions(
    images: Tensor, labels: ArrayLike, probabilities: Tensor, classes: Sequence[str], max_value: int
) -> Figure:
    """Draw the first ten images with the class predicted for each, its probability, and the true class.

    Args:
        images: uint8 (n, 1, height, width).
        labels: true class indices (n,).
        probabilities: of each class, (n, classes).
        classes: one name per class.
        max_value: the byte that stands for an intensity of 1.
    """
    labels, probabilities = _array(labels)[:10], _array(probabilities)[:10]
    right = int((probabilities.argmax(axis=1) == labels).sum())
    title = f"The first images: {right} right ({RIGHT}, solid), {len(labels) - right} wrong ({WRONG}, dashed)"
    return _judged(_array(images)[:10], labels, probabilities, classes, max_value, title)


def own_images(
    images: Tensor, names: Sequence[str], probabilities: Tensor, classes: Sequence[str], max_value: int
) -> Figure:
    """Draw the first ten images, as the network sees them, with bars for their five most probable classes.

    Args:
        images: uint8 (n, 1, height, width), at least one.
        names: of the images.
        probabilities: of each class, (n, classes).
        classes: one name per class.
        max_value: the byte that stands for an intensity of 1.
    """
    count = min(10, len(images))
    rows = math.ceil(count / 2)
    some = f"The first {count} of {len(images)} images" if len(images) > count else "The images"
    figure = _figure(1.6 * rows, f"{some} and their most probable classes")
    axes = figure.subplots(rows, 4, squeeze=False, width_ratios=(1, 1.2) * 2).reshape(-1, 2)
    for ax in axes[count:].flat:
        ax.remove()
    for (left, right), image, name, p in zip(axes, _array(images), names, _array(probabilities), strict=False):
        left.imshow(image[0], cmap=IMAGE_COLOURS, vmin=0, vmax=max_value, interpolation="nearest")
        left.set(xticks=[], yticks=[])
        left.set_title(_short(name, 18), fontsize=8)
        best = np.argsort(-p, kind="stable")[:5]
        bars = right.barh(range(len(best)), p[best], color=[BLUE] + ["0.7"] * (len(best) - 1))
        right.set_yticks(range(len(best)), [_short(classes[k]) for k in best])
        right.bar_label(bars, [f"{p[k]:.1%}" for k in best], padding=2, fontsize=8)
        right.set(xlim=(0, 1.45), xticks=[])
        right.invert_yaxis()
        right.tick_params(labelsize=8)
        right.spines[:].set_visible(False)
    return figure


def mistakes(
    images: Tensor, labels: ArrayLike, probabilities: Tensor, classes: Sequence[str], max_value: int
) -> Figure:
    """Draw the images, ten at most, that are misclassified with the highest probability, highest first.

    The title says how many of all images are misclassified. The arguments are those of `predictions`.
    """
    labels, probabilities = _array(labels), _array(probabilities)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")[:10]]
    title = f"Wrong: {len(wrong):,} of {len(labels):,}. The most confident mistakes:"
    return _judged(_array(images)[chosen], labels[chosen], probabilities[chosen], classes, max_value, title)


def _judged(images, labels, probabilities, classes: Sequence[str], max_value: int, title: str) -> Figure:
    """Images (n, 1, height, width) with the prediction above and the truth below, framed by whether they agree."""
    above, below = [], []
    predicted = probabilities.argmax(axis=1)
    for label, guess, probability in zip(labels, predicted, probabilities, strict=True):
        above.append(f"{RIGHT if guess == label else WRONG} {_short(classes[guess])}\n{probability[guess]:.1%}")
        truth = f"true: {_short(classes[label])}"
        below.append(truth if guess == label else f"{truth}\n{probability[label]:.1%}")
    figure = _grid(images[:, 0], above, below, title=title, limits=(0, max_value))
    for frame, right in zip(figure.axes[0].patches, predicted == labels, strict=True):
        dashes = "-" if right else (0, (2, 1.5))
        frame.set(edgecolor=BLUE if right else VERMILLION, linestyle=dashes, linewidth=2.5)
    return figure


def confusion(counts: Tensor, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix: true classes in rows, predicted ones in columns.

    A cell holds its count, where the classes are few enough to read it, and its colour is the share of its row.

    Args:
        counts: int64 (classes, classes).
        classes: one name per class.
    """
    counts = _array(counts)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure = _figure(5.4, f"Confusion matrix: {counts.trace():,} of {counts.sum():,} right", layout="none")
    letters = max(len(_short(name, 2 * MAX_LETTERS)) for name in classes)
    left, bottom = 0.08 + 0.013 * letters, 0.11 + 0.0105 * letters
    ax, bar = (
        figure.add_axes((x, bottom, width, 0.92 - bottom)) for x, width in ((left, 0.84 - left), (0.87, 0.025))
    )
    image = ax.imshow(shares, cmap=SHARE_COLOURS, vmin=0, vmax=1, interpolation="nearest")
    for axis in (ax.xaxis, ax.yaxis):
        _name_classes(axis, classes)
    for text in ax.get_xticklabels():
        text.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    figure.colorbar(image, cax=bar, label="share of the true class")
    if len(classes) <= MAX_CLASSES_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.7 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def curves(results: Sequence[EpochResult], title: str) -> Figure:
    """Draw the losses and the accuracies of one run by epoch: train, test and, where there is one, validation."""
    figure = _figure(3.4, title, layout="none")
    panels = figure.subplots(1, 2, gridspec_kw={"left": 0.09, "right": 0.98, "top": 0.84, "bottom": 0.24})
    for ax, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        for part, *look in zip(("train", "test", "validation"), COLOURS, DASHES, MARKERS, strict=False):
            values = [getattr(result, f"{part}_{quantity}") for result in results]
            if None not in values:
                _line(ax, [result.epoch for result in results], values, *look, part)
        ax.set_title(quantity, fontsize=10)
        _by_epoch(ax)
    _legend(figure, panels)
    return figure


def modes(results_by_mode: Mapping[str, Sequence[EpochResult]]) -> Figure:
    """Draw the curves of several runs over each other.

    Each line is thinner than the one below it, and has its marks at epochs of its own where there are enough of them,
    so that all are visible where they coincide.

    Args:
        results_by_mode: the results of each run by its name.
    """
    figure = _figure(5.4, f"{', '.join(results_by_mode)}: one over the other")
    panels = figure.subplots(2, 2)
    widths = np.linspace(7, 1.5, len(results_by_mode))
    quantities = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    for ax, quantity in zip(panels.T.flat, quantities, strict=True):
        # The widest line, at the bottom, is pale and the thinnest, on top, is dark.
        looks = zip(cycle((SKY_BLUE, VERMILLION, BLACK, PURPLE, GREEN)), cycle(DASHES), cycle(MARKERS), widths)
        for k, ((name, results), (*look, width)) in enumerate(zip(results_by_mode.items(), looks, strict=False)):
            values = [getattr(result, quantity) for result in results]
            style = {"linewidth": width, "markersize": width + 3}
            if len(results) > (every := len(widths) * math.ceil(len(results) / 12)):
                style = {"linewidth": width, "markersize": 9, "markevery": (k * every // len(widths), every)}
            _line(ax, [r.epoch for r in results], values, *look, name, **style)
        ax.set_title(quantity.replace("_", " "), fontsize=10)
        _by_epoch(ax)
    _legend(figure, panels.flat)
    return figure


def drift(drifts: Sequence[tuple[float, float]]) -> Figure:
    """Draw how far runs are apart, by epoch from 1, on an axis that is logarithmic above zero.

    Args:
        drifts: after each epoch the largest difference of an entry of the weights and of a loss.
    """
    figure = _figure(4.0, "Largest difference between any two runs")
    ax = figure.subplots()
    values = np.array(drifts, dtype=float).reshape(-1, 2)
    for name, column, *look in zip(("weights", "loss"), values.T, COLOURS, DASHES, MARKERS, strict=False):
        _line(ax, range(1, len(column) + 1), column, *look, name)
    positive = values[values > 0]
    ax.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(positive.min())) if positive.size else 1e-16)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylim(bottom=0)
    ax.set_ylabel("difference")
    _by_epoch(ax)
    _legend(figure, [ax])
    return figure


def sweep(
    losses_by_value: Mapping[str, Sequence[float]],
    title: str,
    lines: Sequence[Mapping[str, tuple[float, float, float]]] = (),
    labels: tuple[str, str] = ("", ""),
) -> Figure:
    """Draw the training loss by epoch, from 1, for every value of a setting, and beside it what came out at the end.

    A run whose last loss is not finite has diverged, and the legend says so. An axis is logarithmic where its values
    are more than tenfold apart.

    Args:
        losses_by_value: mean training losses by the value's name, `lr=0.1`.
        title: what is varied.
        lines: the end of some of them, by the same names: the setting's value, a mean and its standard deviation.
        labels: what the axes of these are.
    """
    rows = math.ceil(len(losses_by_value) / _legend_columns(losses_by_value)) if losses_by_value else 0
    figure = _figure(3.6 + 0.18 * rows, title)
    ax, *beside = np.atleast_1d(figure.subplots(1, 2 if lines else 1))
    looks = dict(zip(losses_by_value, zip(cycle(COLOURS), cycle(DASHES), cycle(MARKERS), strict=False), strict=False))
    for value, losses in losses_by_value.items():
        losses = np.array(losses, dtype=float)
        label = value if np.isfinite(losses).all() else f"{value} (diverged)"
        _line(ax, np.arange(1, len(losses) + 1), np.where(np.isfinite(losses), losses, np.nan), *looks[value], label)
    drawn = [loss for losses in losses_by_value.values() for loss in losses if 0 < loss < math.inf]
    if drawn and max(drawn) > 10 * min(drawn):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
    ax.set_title("train loss", fontsize=10)
    _by_epoch(ax)
    for panel in beside:
        _ends(panel, lines, looks, *labels)
    _legend(figure, [ax])
    return figure


def _ends(
    ax: Axes, lines: Sequence[Mapping[str, tuple]], looks: Mapping[str, tuple], xlabel: str, title: str
) -> None:
    for line in lines:
        ax.plot(*zip(*sorted(point[:2] for point in line.values()), strict=True), color="0.7", zorder=1)
        for value, (x, mean, deviation) in line.items():
            colour, _, marker = looks[value]
            ax.errorbar(x, mean, deviation or None, color=colour, marker=marker, capsize=4)
    values = sorted({x for line in lines for x, *_ in line.values()})
    positive = [x for x in values if x > 0]
    if positive and positive[-1] >= 10 * positive[0]:
        ax.set_xscale("symlog" if values[0] == 0 else "log", **{"linthresh": positive[0]} if values[0] == 0 else {})
    ax.set_xticks(values[:: math.ceil(len(values) / 5)])
    ax.set_xticks([], minor=True)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel, fontsize=9)
    ax.tick_params(labelsize=9)
    ax.grid(color="0.88")


class _Figure(Figure):
    """Shows every text as it is written, and does not warn about letters that the font lacks."""

    def draw(self, renderer):
        for text in self.findobj(Text):
            text.set_parse_math(False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            super().draw(renderer)


def _figure(height: float, title: str, layout: str = "constrained") -> Figure:
    title = textwrap.fill(title, 76)
    height += HEAD + 0.17 * title.count("\n")
    figure = _Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)
    figure.suptitle(title, fontsize=11, **({"y": 1 - 0.08 / height} if layout == "none" else {}))
    return figure


def _grid(
    images: np.ndarray,
    above: Sequence[str],
    below: Sequence[str] = (),
    *,
    title: str,
    limits: tuple[float, float],
    cmap: str = IMAGE_COLOURS,
    extra: float = 0.0,
) -> Figure:
    """Images (n, height, width) in rows of five, framed, with a text above and perhaps one below each.

    All are in one Axes, in inches: an Axes for each would take five times as long. At the bottom, `extra` inches are
    left free.
    """
    columns = max(1, min(GRID_COLUMNS, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    line, gap, cell = 0.16, 0.14, WIDTH / columns
    ratio = images.shape[1] / images.shape[2]
    height = (cell - gap) * min(2.0, ratio)
    width = height / ratio
    over, under = (line * (1 + max((text.count("\n") for text in texts), default=-1)) for texts in (above, below))
    step = over + height + under + gap
    figure = _figure(rows * step + extra, title, layout="none")
    head = figure.get_figheight() - rows * step - extra
    ax = figure.add_axes((0, 0, 1, 1))
    for i, image in enumerate(images):
        center, top = cell * (i % columns + 0.5), head + step * (i // columns) + over
        left, bottom = center - width / 2, top + height
        extent = (left, left + width, bottom, top)
        ax.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest", extent=extent)
        ax.add_patch(Rectangle((left, top), width, height, fill=False, linewidth=0.8))
        ax.text(center, top - 0.04, above[i], fontsize=9, ha="center", va="bottom")
        if below:
            ax.text(center, bottom + 0.04, below[i], fontsize=9, ha="center", va="top")
    ax.set(xlim=(0, WIDTH), ylim=(figure.get_figheight(), 0), aspect="auto")
    ax.axis("off")
    return figure


def _array(values: ArrayLike) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _short(name: str, limit: int = MAX_LETTERS) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def _name_classes(axis: Axis, classes: Sequence[str]) -> None:
    """Name every class at its index or, where they are too many, every second, third, …"""
    step = math.ceil(len(classes) / MAX_CLASS_LABELS)
    axis.set_ticks(range(0, len(classes), step), [_short(name, 2 * MAX_LETTERS) for name in classes[::step]])
    axis.set_tick_params(labelsize=9 if len(classes) <= MAX_CLASSES_WITH_COUNTS else 7)


def _line(ax: Axes, x, y, colour: str, dashes: str, marker: str, label: str, **style) -> None:
    usual = {"linewidth": 1.8, "markersize": 5, "markevery": max(1, len(x) // 10)}
    ax.plot(x, y, color=colour, linestyle=dashes, marker=marker, label=label, **(usual | style))


def _by_epoch(ax: Axes) -> None:
    ax.set_xlabel("epoch", fontsize=9)
    low, high = ax.get_xlim()
    ticks = MaxNLocator(integer=True, min_n_ticks=1, nbins=6).tick_values(low, high)
    ax.set_xticks([tick for tick in ticks if 1 <= tick <= high])  # there is no epoch 0
    ax.tick_params(labelsize=9)
    ax.grid(color="0.88")


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Put one legend for all panels below them, where it hides nothing."""
    entries = {}
    for ax in panels:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        style = {"loc": "outside lower center", "fontsize": 9, "handlelength": 4}
        figure.legend(entries.values(), entries.keys(), ncols=_legend_columns(entries), **style)


def _legend_columns(labels: Collection[str]) -> int:
    return max(1, min(4, 92 // (11 + max(map(len, labels)))))
