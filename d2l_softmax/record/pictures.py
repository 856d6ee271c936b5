"""Pictures of data, weights, predictions and training, drawn with matplotlib.

Every function returns a figure and touches no global state: there is no pyplot here. The figures are about as wide
as TensorBoard shows images. What colour tells, a symbol, a line style or a number tells too, and the colours
(Okabe and Ito's, and maps without red against green) are ones that colour-blind readers tell apart.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from torch import Tensor

from d2l_softmax.record.files import replace
from d2l_softmax.training import EpochResult

WIDTH = 6.4  # inches, which at DPI are 640 pixels
DPI = 100
LINE = 0.17  # inches, the height of a line of text
GRID_COLUMNS, MAX_IMAGES = 5, 25
MAX_CLASSES_WITH_COUNTS, MAX_CLASS_LABELS = 15, 40
MAX_LETTERS = 12

BLUE, VERMILLION, SKY_BLUE = "#0072B2", "#D55E00", "#56B4E9"
COLOURS = (BLUE, VERMILLION, "#000000", "#E69F00", "#CC79A7", "#009E73", SKY_BLUE)
DASHES, MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P", "X", "*")
LOOKS = [{"color": COLOURS[k % 7], "linestyle": DASHES[k % 4], "marker": MARKERS[k % 8]} for k in range(7 * 8)]
IMAGE_COLOURS, WEIGHT_COLOURS, SHARE_COLOURS = "gray", "RdBu_r", "Blues"


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
        W: weights (height × width, classes). Those that are not finite are left blank.
        height, width: of the images, in pixels.
        classes: one name per class.
        title: what these weights are.
    """
    columns = _array(W).T[:MAX_IMAGES].reshape(-1, height, width)
    finite = np.isfinite(columns)
    limit = np.abs(columns[finite]).max(initial=0) or 1.0
    if len(classes) > MAX_IMAGES:
        title += f" (the first {MAX_IMAGES} of {len(classes)} classes)"
    if not finite.all():
        title += " (blank where they are not finite)"
    names = [_short(name) for name in classes[:MAX_IMAGES]]
    figure = _grid(columns, names, title=title, cmap=WEIGHT_COLOURS, limits=(-limit, limit), extra=0.65)
    place = figure.add_axes((0.05, 0.45 / figure.get_figheight(), 0.9, 0.12 / figure.get_figheight()))
    bar = figure.colorbar(figure.axes[0].images[0], cax=place, orientation="horizontal")
    bar.set_label("weight: a bright pixel makes the class more probable where red, less where blue", fontsize=9)
    bar.ax.tick_params(labelsize=9)
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
    labels, probabilities = _array(labels)[:10], _array(probabilities)[:10]
    predicted = probabilities.argmax(axis=1)
    judged = list(zip(labels, predicted, probabilities, strict=True))
    above = [f"{'✓' if k == y else '✗'} {_short(classes[k])}\np = {p[k]:.1%}" for y, k, p in judged]
    below = [f"true: {_short(classes[y])}" + ("" if k == y else f"\np = {p[y]:.1%}") for y, k, p in judged]
    title += "\np: the probability that the model gives this class"
    figure = _grid(_array(images)[:10, 0], above, below, title=title, limits=(0, max_value))
    for frame, right in zip(figure.axes[0].patches, predicted == labels, strict=True):
        frame.set(edgecolor=BLUE if right else VERMILLION, linestyle="-" if right else (0, (2, 1.5)), linewidth=2.5)
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
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")[:10]]
    title = f"Wrong: {len(wrong):,} of {len(labels):,} test images, the most confident mistakes first"
    return predictions(_array(images)[worst], labels[worst], probabilities[worst], classes, max_value, title)


def own_images(
    images: Tensor, names: Sequence[str], probabilities: Tensor, classes: Sequence[str], max_value: int
) -> Figure:
    """Draw the first ten images, as the network sees them, with bars for their five most probable classes.

    The arguments are those of `predictions`, with at least one image, and the images' names instead of labels.
    """
    shown, bars = _array(images)[:10, 0], min(5, len(classes))
    which = f"The first {len(shown)} of your {len(images):,} images" if len(images) > len(shown) else "Your images"
    columns = min(GRID_COLUMNS, len(shown))
    above, title = [_short(name, 75 // columns) for name in names[:10]], f"{which} and their most probable classes"
    figure = _grid(shown, above, title=title, limits=(0, max_value), lines=bars)
    width = figure.get_figwidth() / columns - 0.24
    ax = figure.axes[0]
    for image, p in zip(ax.images, _array(probabilities), strict=False):
        left, right, bottom, _ = image.get_extent()
        start = (left + right - width) / 2
        for row, k in enumerate(np.argsort(-p, kind="stable")[:bars]):
            y = bottom + LINE * (row + 0.75)
            ax.barh(y, p[k] * width, 0.8 * LINE, left=start, color=SKY_BLUE if row == 0 else "0.85")
            ax.text(start + 0.02, y, _short(classes[k]), fontsize=8, va="center_baseline")
            ax.text(start + width, y, f"{p[k]:.1%}", fontsize=8, ha="right", va="center_baseline")
    return figure


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
    step = math.ceil(len(classes) / MAX_CLASS_LABELS)
    names = [_short(name, 2 * MAX_LETTERS) for name in classes[::step]]
    few = len(classes) <= MAX_CLASSES_WITH_COUNTS
    longest = 0.08 * max(map(_width, names))  # inches
    left, bottom = 0.55 + longest, 0.5 + 0.75 * longest
    side = 5.4 - left
    figure = _figure(side + bottom, f"Confusion matrix: {counts.trace():,} of {counts.sum():,} right")
    total = figure.get_figheight()
    ax = figure.add_axes((left / WIDTH, bottom / total, side / WIDTH, side / total))
    image = ax.imshow(shares, cmap=SHARE_COLOURS, vmin=0, vmax=1, interpolation="nearest")
    ticks, size = range(0, len(classes), step), 9 if few else 7
    ax.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
    ax.set_yticks(ticks, names, fontsize=size)
    ax.set(xlabel="predicted class", ylabel="true class")
    place = figure.add_axes((5.55 / WIDTH, bottom / total, 0.15 / WIDTH, side / total))
    figure.colorbar(image, cax=place, label="share of the true class")
    if few:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.7 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def curves(results: Sequence[EpochResult], title: str) -> Figure:
    """Draw the losses and the accuracies of one run by epoch: train, test and, where there is one, validation."""
    panels = {"loss": {}, "accuracy": {}}
    for quantity, lines in panels.items():
        for part in ("train", "test", "validation"):
            values = [getattr(result, f"{part}_{quantity}") for result in results]
            if None not in values:
                lines[part] = values
    return _by_epoch(title, panels, first=results[0].epoch if results else 1)


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
    return _by_epoch(f"{', '.join(results_by_mode)}: one over the other", panels, widths)


def drift(drifts: Sequence[tuple[float, float]]) -> Figure:
    """Draw how far runs are apart, by epoch from 1, on an axis that is logarithmic above zero.

    Args:
        drifts: after each epoch the largest difference of an entry of the weights and of a loss.
    """
    values = np.array(drifts, dtype=float).reshape(-1, 2)
    lines = dict(zip(("weights", "loss"), values.T, strict=True))
    figure = _by_epoch("Largest difference between any two runs", {"": lines}, height=3.2)
    (ax,) = figure.axes
    if (positive := values[np.isfinite(values) & (values > 0)]).size:
        ax.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(positive.min())))
        ax.set_ylim(top=2 * positive.max())
    ax.set_ylim(bottom=0)
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
    figure = _by_epoch(title, {"train loss": named}, height=3.0)
    drawn = [loss for losses in losses_by_value.values() for loss in losses if 0 < loss < math.inf]
    if drawn and max(drawn) > 10 * min(drawn):
        figure.axes[0].set_yscale("log")
        figure.axes[0].yaxis.set_major_formatter("{x:g}")
    return figure


class _Figure(Figure):
    """Shows every text as it is written, in fonts that have its letters, and does not warn where there is none."""

    def draw(self, renderer):
        texts = self.findobj(Text)
        fonts = _fonts_with(frozenset("".join(text.get_text() for text in texts)))
        for text in texts:
            text.set(parse_math=False, fontfamily=[*rcParams["font.family"], *fonts])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            super().draw(renderer)


@cache
def _fonts_with(letters: frozenset[str]) -> list[str]:
    """Names of installed fonts for those of the letters that matplotlib's own font lacks, such as Chinese ones."""
    fonts, names = font_manager.fontManager, []
    default = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    missing = {letter for letter in letters if letter.isprintable() and not default.get_char_index(ord(letter))}
    if not missing:
        return []
    # matplotlib's list of fonts, which it keeps in a file, may be older than the font with these letters.
    for path in sorted({*font_manager.findSystemFonts()} - {font.fname for font in fonts.ttflist}):
        with suppress(OSError, RuntimeError):  # matplotlib does not read every font
            fonts.addfont(path)
    for font in sorted(fonts.ttflist, key=lambda font: ("Serif" in font.name, font.name)):
        has = font_manager.get_font(font.fname).get_char_index
        if "Last Resort" not in font.name and (found := {letter for letter in missing if has(ord(letter))}):
            names.append(font.name)
            missing -= found
    return names


def _figure(height: float, title: str, width: float = WIDTH) -> Figure:
    """A figure with a title above `height` inches for what is to be drawn."""
    title = "\n".join(textwrap.fill(line, int(12 * width)) for line in title.splitlines())
    height += 0.35 + LINE * title.count("\n")
    figure = _Figure(figsize=(width, height), dpi=DPI)
    figure.suptitle(title, fontsize=11, y=1 - 0.08 / height)
    return figure


def _grid(images, above, below=(), *, title, limits, cmap=IMAGE_COLOURS, lines=0, extra=0.0) -> Figure:
    """Images (n, height, width) in rows of five, framed, with a text above each and a text or free `lines` below.

    All are in one Axes, in inches: an Axes for each would take five times as long. At the bottom, `extra` inches are
    left free.
    """
    columns = max(1, min(GRID_COLUMNS, len(images)))
    rows = math.ceil(len(images) / columns)
    total = WIDTH / 2 if len(images) == 1 else WIDTH
    gap, cell = 0.14, total / columns
    ratio = images.shape[1] / images.shape[2]
    height = (cell - gap) * min(1.5, ratio)
    width = height / ratio
    over = LINE * max([0, *(1 + text.count("\n") for text in above)])
    under = LINE * max([lines, *(1 + text.count("\n") for text in below)])
    step = over + height + under + gap
    figure = _figure(rows * step + extra, title, total)
    head = figure.get_figheight() - rows * step - extra
    ax = figure.add_axes((0, 0, 1, 1))
    for i, image in enumerate(images):
        center, top = cell * (i % columns + 0.5), head + step * (i // columns) + over
        left, bottom = center - width / 2, top + height
        place = (left, left + width, bottom, top)
        ax.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest", extent=place)
        ax.add_patch(Rectangle((left, top), width, height, fill=False, linewidth=0.8))
        ax.text(center, top - 0.04, above[i], fontsize=9, ha="center", va="bottom")
        if below:
            ax.text(center, bottom + 0.04, below[i], fontsize=9, ha="center", va="top")
    ax.set(xlim=(0, total), ylim=(figure.get_figheight(), 0), aspect="auto")
    ax.axis("off")
    return figure


def _by_epoch(title, panels, widths=(1.8,), first=1, height=2.5) -> Figure:
    """Panels, two in a row, `height` inches each, of lines by epoch, with one legend for all of them below.

    `panels` has the lines of each panel by its title. A line has a name and a value for each epoch from `first` on.
    Lines of different `widths` (points) lie over each other and have their marks at different epochs.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    legend_columns = max(1, min(4, 92 // (11 + max(map(len, names), default=0))))
    rows, columns = math.ceil(len(panels) / 2), min(2, len(panels))
    below = 0.15 + 0.2 * math.ceil(len(names) / legend_columns)
    figure = _figure(rows * height + below, title)
    total = figure.get_figheight()
    figure.subplots_adjust(0.09, (below + 0.45) / total, 0.98, (below + rows * height - 0.2) / total, hspace=0.5)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for ax, (heading, lines) in zip(axes, panels.items(), strict=True):
        for k, (look, (name, values)) in enumerate(zip(cycle(LOOKS), lines.items(), strict=False)):
            width, gap = widths[k % len(widths)], math.ceil(len(values) / 12)
            marks = (k % len(widths) * gap, len(widths) * gap) if len(values) > len(widths) * gap else None
            style = {"linewidth": width, "markersize": 3 + 1.6 * width, "markevery": marks}
            y = np.where(np.isfinite(values), values, np.nan)
            ax.plot(range(first, first + len(y)), y, label=name, **look, **style)
        low, high = ax.get_xlim()
        ticks = MaxNLocator(integer=True, min_n_ticks=1, nbins=6).tick_values(low, high)
        ax.set_xticks([tick for tick in ticks if 1 <= tick <= high])  # there is no epoch 0
        ax.set_xlabel("epoch", fontsize=9)
        ax.set_title(heading, fontsize=10)
        ax.tick_params(labelsize=9)
        ax.grid(color="0.88")
    figure.legend(axes[0].lines, names, loc="lower center", ncols=legend_columns, fontsize=9, handlelength=4)
    return figure


def _array(values: ArrayLike) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _width(text: str) -> int:
    """The width of a text in letters; Chinese, Japanese and Korean ones count twice."""
    return sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def _short(name: str, limit: int = MAX_LETTERS) -> str:
    while _width(name) > limit:
        name = f"{name[:-2]}…"
    return name
