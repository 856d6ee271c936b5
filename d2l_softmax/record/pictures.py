"""Pictures of data, weights, predictions and training, drawn with matplotlib.

Every function returns a figure and leaves global state as it was: there is no pyplot here. The figures are as wide as
TensorBoard shows images. What colour tells, a symbol, a line style or a number tells too, and the colours
(Okabe and Ito's, and maps without red against green) are ones that colour-blind readers tell apart.
"""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
from cycler import cycler
from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.record.run_folder import replace
from d2l_softmax.training import EpochResult

WIDTH = 6.4  # inches, which are 640 pixels
COLUMNS, MAX_IMAGES, MAX_WEIGHTS = 5, 10, 25
MAX_CLASSES_WITH_COUNTS, MAX_CLASS_LABELS = 15, 30
RIGHT, WRONG = "#0072B2", "#D55E00"
# Fonts with Chinese, Japanese and Korean letters, which matplotlib's own lacks. They are looked for here because its
# list of fonts is of the day when it was first used.
CJK = re.compile("NotoSansCJK-Regular|wqy-microhei|msyh|simhei|PingFang|Hiragino|malgun", re.IGNORECASE)
CJK_FONTS = sorted(filter(CJK.search, font_manager.findSystemFonts()))
for file in CJK_FONTS:
    font_manager.fontManager.addfont(file)

STYLE = {
    "axes.prop_cycle": cycler(
        color=["#0072B2", "#D55E00", "#000000", "#E69F00", "#CC79A7", "#009E73", "#56B4E9"] * 8,
        linestyle=["-", "--", "-.", ":"] * 14,
        marker=["o", "s", "^", "D", "v", "P", "X", "*"] * 7,
    ),
    "axes.titlesize": "medium",
    "figure.titlesize": "large",
    "font.family": ["DejaVu Sans", *(font_manager.get_font(file).family_name for file in CJK_FONTS)],
    "font.size": 9,
    "image.interpolation": "nearest",
    "text.parse_math": False,
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, complete or not at all."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="png")
    replace(path, buffer.getvalue())


def show(figure: Figure, path: Path, writer: SummaryWriter, tag: str, step: int) -> None:
    """Write a figure as PNG and, drawn once, to TensorBoard."""
    save(figure, path)
    writer.add_image(f"picture: {tag}", np.asarray(Image.open(path)), step, dataformats="HWC")


def samples(images: Tensor, labels: ArrayLike, classes: Sequence[str], max_value: int) -> Figure:
    """Draw the first ten images with the names of their classes.

    Args:
        images: uint8 (n, 1, height, width).
        labels: class indices (n,).
        classes: one name per class.
        max_value: the byte that stands for an intensity of 1.
    """
    names = [_short(classes[label]) for label in _array(labels)[:MAX_IMAGES]]
    return _grid("The first training images", _array(images)[:MAX_IMAGES, 0], names, vmax=max_value)[0]


def weights(W: Tensor, height: int, width: int, classes: Sequence[str], title: str) -> Figure:
    """Draw each class's weights as an image, the first 25 where there are more, all on one scale about zero.

    Args:
        W: weights (height × width, classes).
        height, width: of the images, in pixels.
        classes: one name per class.
        title: what these weights are.
    """
    columns = _array(W).T[:MAX_WEIGHTS].reshape(-1, height, width)
    limit = np.abs(columns).max() or 1.0
    if len(classes) > MAX_WEIGHTS:
        title += f" (the first {MAX_WEIGHTS} of {len(classes)} classes)"
    names = [_short(name) for name in classes[:MAX_WEIGHTS]]
    figure, axes = _grid(title, columns, names, vmin=-limit, vmax=limit, cmap="RdBu_r", extra=0.6)
    label = "weight: a bright pixel makes the class more probable where red, less where blue"
    figure.colorbar(axes[0].images[0], ax=axes, location="bottom", label=label, aspect=50, pad=0.02)
    return figure


def predictions(
    images: Tensor,
    labels: ArrayLike,
    probabilities: Tensor,
    classes: Sequence[str],
    max_value: int,
    title: str = "The first images",
) -> Figure:
    """Draw the first ten images with the class predicted for each, its probability, and the true class.

    The arguments are those of `samples`, the probabilities of each class, (n, classes), and what the images are.
    """
    labels, probabilities = _array(labels)[:MAX_IMAGES], _array(probabilities)[:MAX_IMAGES]
    judged = list(zip(labels, probabilities.argmax(axis=1), probabilities, strict=True))
    above = [f"{'✓' if k == y else '✗'} {_short(classes[k])}\np = {p[k]:.1%}" for y, k, p in judged]
    below = [f"true: {_short(classes[y])}" + ("" if k == y else f"\np = {p[y]:.1%}") for y, k, p in judged]
    title += "\np: the probability that the model gives this class"
    figure, axes = _grid(title, _array(images)[:MAX_IMAGES, 0], above, below, vmax=max_value, lines=4)
    for ax, (y, k, _) in zip(axes, judged, strict=True):
        ax.spines[:].set(color=RIGHT if k == y else WRONG, linestyle="-" if k == y else ":", linewidth=2.5)
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
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")[:MAX_IMAGES]]
    title = f"Wrong: {len(wrong):,} of {len(labels):,} test images, the most confident mistakes first"
    return predictions(_array(images)[worst], labels[worst], probabilities[worst], classes, max_value, title)


def own_images(
    images: Tensor, names: Sequence[str], probabilities: Tensor, classes: Sequence[str], max_value: int
) -> Figure:
    """Draw the first ten images, as the network sees them, with their five most probable classes.

    The arguments are those of `predictions`, with at least one image, and the images' names instead of labels.
    """
    shown = _array(images)[:MAX_IMAGES, 0]
    which = f"The first {len(shown)} of your {len(images):,} images" if len(images) > len(shown) else "Your images"
    above = [_short(name, 14) for name in names[:MAX_IMAGES]]
    below = []
    for p in _array(probabilities)[:MAX_IMAGES]:
        best = np.argsort(-p, kind="stable")[:5]
        below.append("\n".join(f"{_short(classes[k])} {p[k]:.1%}" for k in best))
    title = f"{which} and their most probable classes"
    return _grid(title, shown, above, below, vmax=max_value, lines=7)[0]


@rc_context(STYLE)
def confusion(counts: Tensor, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix: true classes in rows, predicted ones in columns.

    A cell holds its count, where the classes are few enough to read it, and its colour is the share of its row. Where
    the classes are too many to name them all, every second, third, … is named.

    Args:
        counts: int64 (classes, classes).
        classes: one name per class.
    """
    counts = _array(counts)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    step, few = math.ceil(len(classes) / MAX_CLASS_LABELS), len(classes) <= MAX_CLASSES_WITH_COUNTS
    figure = _figure(f"Confusion matrix: {counts.trace():,} of {counts.sum():,} right", 5.6)
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ticks, names = range(0, len(classes), step), [_short(name, 24) for name in classes[::step]]
    size, angle = (9, 45) if few else (7, 90)
    ax.set_xticks(ticks, names, rotation=angle, ha="right", va="center", rotation_mode="anchor", fontsize=size)
    ax.set_yticks(ticks, names, fontsize=size)
    ax.set(xlabel="predicted class", ylabel="true class")
    figure.colorbar(image, label="share of the true class")
    if few:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.7 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8, in_layout=False)
    return figure


def curves(results: Sequence[EpochResult], title: str) -> Figure:
    """Draw the losses and the accuracies of one run by epoch: train, test and, where there is one, validation."""
    splits = ("train", "test") if results[0].validation_loss is None else ("train", "test", "validation")
    panels = {
        kind: {split: [getattr(result, f"{split}_{kind}") for result in results] for split in splits}
        for kind in ("loss", "accuracy")
    }
    return _by_epoch(title, panels)[0]


def modes(results_by_mode: Mapping[str, Sequence[EpochResult]]) -> Figure:
    """Draw the curves of several runs over each other, each thinner than the one below it, so that all are visible.

    Args:
        results_by_mode: the results of each run, from epoch 1, by its name.
    """
    panels = {}
    for quantity in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        lines = {name: [getattr(r, quantity) for r in results] for name, results in results_by_mode.items()}
        panels[quantity.replace("_", " ")] = lines
    widths = np.linspace(7, 1.5, len(results_by_mode))
    return _by_epoch(f"{', '.join(results_by_mode)}: one over the other", panels, widths)[0]


def drift(drifts: Sequence[tuple[float, float]]) -> Figure:
    """Draw how far runs are apart, by epoch from 1, on an axis that is logarithmic above zero.

    Args:
        drifts: after each epoch the largest difference of an entry of the weights and of a loss.
    """
    values = np.array(drifts)
    lines = {"weights": values[:, 0], "loss": values[:, 1]}
    figure, (ax,) = _by_epoch("Largest difference between any two runs", {"": lines})
    ax.set_yscale("symlog", linthresh=values[values > 0].min(initial=1))
    ax.set_ylim(0, 2 * values.max() or 1)
    ax.yaxis.set_major_formatter("{x:g}")
    return figure


def sweep(losses_by_value: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Draw the training loss by epoch, from 1, for every value of a setting.

    A run whose last loss is not finite has diverged, and the legend says so. The axis is logarithmic where the losses
    are more than tenfold apart.

    Args:
        losses_by_value: mean training losses by the value's name, `lr=0.1`.
        title: what is varied.
    """
    named = {v if np.isfinite(of).all() else f"{v} (diverged)": of for v, of in losses_by_value.items()}
    figure, (ax,) = _by_epoch(title, {"train loss": named})
    drawn = [loss for losses in losses_by_value.values() for loss in losses if 0 < loss < math.inf]
    if drawn and max(drawn) > 10 * min(drawn):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
    return figure


def _figure(title: str, height: float) -> Figure:
    """A figure with a title above `height` inches for what is to be drawn."""
    title = "\n".join(textwrap.fill(line, 80) for line in title.splitlines())
    figure = Figure(figsize=(WIDTH, height + 0.3 + 0.17 * title.count("\n")), dpi=100, layout="constrained")
    figure.suptitle(title)
    return figure


@rc_context(STYLE)
def _grid(
    title, images, above, below=(), *, vmax, vmin=0, cmap="gray", lines=1, extra=0.0
) -> tuple[Figure, list[Axes]]:
    """Images (n, height, width) in rows of five, with a text above each and, if there is one, below.

    There is room for `lines` of text at each image and for `extra` inches below all.
    """
    columns = max(1, min(COLUMNS, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    share = min(1, columns / 4)  # of the width
    height = (WIDTH * share / columns - 0.1) * min(1.5, images.shape[1] / images.shape[2]) + 0.17 * lines + 0.1
    figure = _figure(title, rows * height + extra)
    figure.get_layout_engine().set(rect=((1 - share) / 2, 0, share, 1))
    axes = list(figure.subplots(rows, columns, squeeze=False, subplot_kw={"xticks": [], "yticks": []}).flat)
    for i, (ax, image) in enumerate(zip(axes, images, strict=False)):
        ax.imshow(image, cmap=cmap, vmin=vmin, vmax=vmax)
        ax.set_title(above[i], pad=3)
        ax.set_xlabel(below[i] if below else "", labelpad=3, fontsize=8)
    for ax in axes[len(images) :]:
        ax.remove()
    return figure, axes[: len(images)]


@rc_context(STYLE)
def _by_epoch(title, panels, widths=(1.8,)) -> tuple[Figure, list[Axes]]:
    """Panels, two in a row, of lines by epoch, from 1, with one legend for all of them below.

    `panels` has the lines of each panel by its title. A line has a name and a value for each epoch. Lines of
    different `widths` (points) lie over each other.
    """
    names = [_short(name, 70) for name in next(iter(panels.values()))]
    legend_columns = max(1, min(4, 88 // (11 + max(map(_width, names)))))
    rows, columns = math.ceil(len(panels) / 2), min(2, len(panels))
    figure = _figure(title, 2.5 * rows + 0.5 + 0.2 * math.ceil(len(names) / legend_columns))
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, (heading, lines) in zip(axes, panels.items(), strict=True):
        for k, (name, values) in enumerate(lines.items()):
            width, every = widths[k % len(widths)], math.ceil(len(values) / 12)
            style = {"linewidth": width, "markersize": 3 + 1.6 * width, "markevery": every}
            ax.plot(range(1, len(values) + 1), values, label=name, **style)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.set(title=heading, xlabel="epoch", xlim=(0.5, max(map(len, lines.values()), default=1) + 0.5))
        ax.grid(color="0.88")
    figure.legend(axes[0].lines, names, loc="outside lower center", ncols=legend_columns, handlelength=4)
    return figure, axes


def _array(values: ArrayLike) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _width(text: str) -> int:
    """The width of a text in letters; Chinese, Japanese and Korean ones count twice."""
    return sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def _short(name: str, limit: int = 12) -> str:
    while _width(name) > limit:
        name = f"{name[:-2]}…"
    return name
