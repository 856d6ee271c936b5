import runpy
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image
from sklearn import metrics

from d2l_softmax.record import pictures
from d2l_softmax.training import EpochResult

pytestmark = pytest.mark.filterwarnings("error")
CLASSES = ("T-shirt/top", "Trouser", "Bag", "Ankle boot")


def make_case(n=130, height=6, width=5, classes=CLASSES):
    """Random images and weights, and predictions of which about half are right."""
    generator, case = torch.Generator().manual_seed(0), SimpleNamespace(classes=classes)
    case.images = torch.randint(0, 256, (n, 1, height, width), generator=generator).to(torch.uint8)
    case.labels = torch.randint(0, len(classes), (n,), generator=generator)
    logits = torch.randn(n, len(classes), generator=generator, dtype=torch.float64)
    case.p = (logits + torch.nn.functional.one_hot(case.labels, len(classes))).softmax(dim=1)
    case.W = torch.randn(height * width, len(classes), generator=generator)
    case.guesses, case.judged = case.p.argmax(dim=1), (case.images, case.labels, case.p, classes, 255)
    case.counts = torch.from_numpy(metrics.confusion_matrix(case.labels, case.guesses, labels=range(len(classes))))
    return case


def make_results(epochs, validation=True):
    held_out = [0.25, 0.75] if validation else []
    return [EpochResult(e, 1 / e, 0.9 - 0.1 / e, 1 / e + 0.1, 0.8, 1.0, *held_out) for e in range(1, epochs + 1)]


def pixels(figure):
    (canvas := FigureCanvasAgg(figure)).draw()
    return np.asarray(canvas.buffer_rgba())


def assert_lines(figure, expected, panel=0):
    """A panel shows these values by epoch, from 1, under their names and in looks that differ in every respect."""
    lines = figure.axes[panel].lines
    legend = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert [line.get_label() for line in lines] == legend == list(expected)
    for line, values in zip(lines, expected.values(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), list(enumerate(values, 1)))
    looks = zip(*((line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines), strict=True)
    assert all(len(set(look)) == len(expected) for look in looks)
    return lines


def cells(figure, images, limits):
    """For each of these images, which the figure must show: the text above it, the text below it, and its frame."""
    ax = figure.axes[0]
    for drawn, image, frame in zip(ax.images, images, ax.patches, strict=True):
        assert np.array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == limits
        left, right, bottom, top = drawn.get_extent()
        assert frame.get_bbox().extents == pytest.approx([left, top, right, bottom])
        beside = [text for text in ax.texts if text.get_position()[0] == pytest.approx((left + right) / 2)]
        nearest = (min(beside, key=lambda text: abs(text.get_position()[1] - y)).get_text() for y in (top, bottom))
        yield *nearest, frame


@pytest.mark.parametrize("max_value", [255, 16])
def test_samples_are_the_first_25_images_with_their_names(max_value):
    case = make_case()
    figure = pictures.samples(case.images, case.labels, CLASSES, max_value)
    shown = cells(figure, case.images[:25, 0], (0, max_value))
    assert [above for above, *_ in shown] == [CLASSES[label] for label in case.labels[:25]]


@pytest.mark.parametrize(("count", "factor"), [(4, 1), (4, 0), (36, 1)])
def test_weights_are_columns_on_one_scale_about_zero(count, factor):
    case = make_case(classes=[str(i) for i in range(count)])
    W = case.W * factor
    figure = pictures.weights(W.clone().requires_grad_(), 6, 5, case.classes, "after epoch 3")
    grid, bar = figure.axes
    limit = float(W[:, :25].abs().max()) if factor else 1.0
    shown = cells(figure, W.T.reshape(-1, 6, 5)[:25], (-limit, limit))
    assert [above for above, *_ in shown] == case.classes[:25]
    assert bar.get_xlim() == (-limit, limit)
    assert len({image.get_cmap().name for image in grid.images}) == 1
    assert figure.get_suptitle() == "after epoch 3" + (" (the first 25 of 36 classes)" if count > 25 else "")


def test_predictions_show_right_and_wrong_by_sign_and_line_and_colour():
    case, looks = make_case(), {True: set(), False: set()}
    figure = pictures.predictions(*case.judged)
    shown = cells(figure, case.images[:10, 0], (0, 255))
    for (above, below, frame), row, label in zip(shown, case.p.tolist(), case.labels.tolist(), strict=False):
        guess = row.index(max(row))
        assert above[1:] == f" {CLASSES[guess]}\n{100 * row[guess]:.1f}%"
        assert below.splitlines()[0] == f"true: {CLASSES[label]}"
        looks[guess == label].add((above[0], str(frame.get_linestyle()), to_hex(frame.get_edgecolor())))
    ((right, *rights),), ((wrong, *wrongs),) = looks[True], looks[False]
    assert (right, wrong) == ("✓", "✗")
    assert not set(rights) & set(wrongs)
    assert f"{(case.labels == case.guesses)[:10].sum()} right" in figure.get_suptitle()


@pytest.mark.parametrize("n", [13, 3, 1])
def test_own_images_are_drawn_with_their_most_probable_classes(n):
    case = make_case(n)
    figure = pictures.own_images(case.images, [f"{i}.png" for i in range(n)], case.p, CLASSES, 255)
    panels = list(zip(figure.axes[::2], figure.axes[1::2], strict=True))
    assert len(panels) == min(n, 10)
    for i, ((left, ax), p) in enumerate(zip(panels, case.p.tolist(), strict=False)):
        assert np.array_equal(left.images[0].get_array(), case.images[i, 0])
        assert (left.images[0].get_clim(), left.get_title()) == ((0, 255), f"{i}.png")
        ranked = sorted(zip(p, CLASSES, strict=True), reverse=True)
        assert [bar.get_width() for bar in ax.patches] == [share for share, _ in ranked]
        assert [label.get_text() for label in ax.get_yticklabels()] == [name for _, name in ranked]
        assert [text.get_text() for text in ax.texts] == [f"{share:.1%}" for share, _ in ranked]
    pixels(figure)


@pytest.mark.parametrize(("n", "shown"), [(130, 10), (8, 3), (1, 0)])
def test_mistakes_are_the_most_confident_wrong_predictions(n, shown):
    case = make_case(n)
    wrong = [(max(row), i) for i, row in enumerate(case.p.tolist()) if row.index(max(row)) != case.labels[i]]
    figure, expected = pictures.mistakes(*case.judged), sorted(wrong, reverse=True)[:10]
    assert len(expected) == shown
    shown = cells(figure, [case.images[i, 0] for _, i in expected], (0, 255))
    for (above, below, _), (probability, i) in zip(shown, expected, strict=True):
        truth = int(case.labels[i])
        assert above == f"✗ {CLASSES[case.guesses[i]]}\n{probability:.1%}"
        assert below == f"true: {CLASSES[truth]}\n{float(case.p[i, truth]):.1%}"
    assert f"{len(wrong)} of {n}" in figure.get_suptitle()
    pixels(figure)


@pytest.mark.parametrize("count", [4, 60])
def test_confusion_has_true_rows_and_predicted_columns(count):
    case = make_case(classes=[f"class {i}" for i in range(count)])
    case.counts[1] = 0  # a class without images
    figure = pictures.confusion(case.counts, case.classes)
    ax, cells = figure.axes[0], {text.get_position()[::-1]: int(text.get_text()) for text in figure.axes[0].texts}
    assert cells == (dict(np.ndenumerate(case.counts.numpy())) if count == 4 else {})
    expected = [row / (sum(row) or 1) for row in case.counts.numpy()]
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    for axis in (ax.xaxis, ax.yaxis):
        ticks = axis.get_majorticklocs().astype(int)
        assert [label.get_text() for label in axis.get_ticklabels()] == [case.classes[tick] for tick in ticks]
        assert len(ticks) == {4: 4, 60: 30}[count]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert f"{case.counts.trace()} of {case.counts.sum()}" in figure.get_suptitle()


@pytest.mark.parametrize("hits", [0, 30, 50, 60, 65, 68, 69, 70, 71, 72, 75, 80, 100])
def test_counts_can_be_read_on_every_shade(hits):
    def luminance(colour):
        """Relative luminance as WCAG 2 defines it."""
        channels = np.array(to_rgb(colour))
        linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    ax = pictures.confusion(torch.tensor([[hits, 100 - hits], [0, 0]]), ["a", "b"]).axes[0]
    for text in ax.texts:
        behind = ax.images[0].to_rgba(ax.images[0].get_array())[text.get_position()[::-1]][:3]
        dark, bright = sorted([luminance(text.get_color()), luminance(behind)])
        assert (bright + 0.05) / (dark + 0.05) > 4.2


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("epochs", [1, 2, 60])
def test_curves_are_the_results(epochs, validation):
    results, parts = make_results(epochs, validation), ["train", "test", "validation"][: 2 + validation]
    figure = pictures.curves(results, "a run")
    assert (figure.get_suptitle(), [ax.get_title() for ax in figure.axes]) == ("a run", ["loss", "accuracy"])
    for i, quantity in enumerate(("loss", "accuracy")):
        values = {part: [getattr(result, f"{part}_{quantity}") for result in results] for part in parts}
        ax = assert_lines(figure, values, i)[0].axes
        low, high = ax.get_xlim()
        assert low < 1 <= epochs < high
        assert set() < set(ax.get_xticks()) <= set(range(1, epochs + 1))


def test_modes_that_coincide_all_stay_visible():
    results, names = make_results(5), ["scratch", "concise", "manual"]
    figure = pictures.modes(dict.fromkeys(names, results))
    titles, picture = [ax.get_title() for ax in figure.axes], pixels(figure)[..., :3]
    assert set(titles) == {"train loss", "test loss", "train accuracy", "test accuracy"}
    for i, title in enumerate(titles):
        values = [getattr(result, title.replace(" ", "_")) for result in results]
        lines = assert_lines(figure, {name: values for name in names}, i)
        widths = [line.get_linewidth() for line in lines]
        assert widths == sorted(set(widths), reverse=True)
        for line in lines:
            colour = np.rint(255 * np.array(to_rgb(line.get_color())))
            assert (picture == colour).all(axis=2).sum() > 400


@pytest.mark.parametrize("drifts", [[(1e-8, 0.0), (1e-7, 3e-9), (1e-6, 1e-3)], [(0.0, 0.0)] * 3])
def test_drift_is_drawn_on_an_axis_that_is_logarithmic_above_zero(drifts):
    figure = pictures.drift(drifts)
    pixels(figure)
    lines = assert_lines(figure, dict(zip(("weights", "loss"), zip(*drifts, strict=True), strict=True)))
    to_panel = figure.axes[0].transData - figure.axes[0].transAxes
    weights, loss = (to_panel.transform(line.get_xydata()) for line in lines)
    assert all(((points >= 0) & (points <= 1)).all() for points in (weights, loss))
    if any(map(any, drifts)):
        # Equal factors are equal distances, and what is not zero can be told from zero.
        assert weights[2, 1] - weights[1, 1] == pytest.approx(weights[1, 1] - weights[0, 1])
        assert loss[1, 1] > loss[0, 1] + 0.02


@pytest.mark.parametrize(("most", "scale"), [(4.9, "linear"), (100.0, "log")])
def test_sweep_draws_every_value_and_says_what_diverged(most, scale):
    ends = {"lr=0.01": (0.01, 0.7, 0.0), "lr=0.1": (0.1, 0.8, 0.1)}
    losses = {"lr=0.01": [2.0, 1.5, 1.2], "lr=0.1": [1.0, 0.7, 0.5], "lr=1": [most, 4.0, np.nan], "lr=10": [np.inf]}
    figure = pictures.sweep(losses, "learning rates", [ends], ("lr", "test accuracy"))
    pixels(figure)
    names = ["lr=0.01", "lr=0.1", "lr=1 (diverged)", "lr=10 (diverged)"]
    values = (np.where(np.isfinite(values), values, np.nan) for values in losses.values())
    ax = assert_lines(figure, dict(zip(names, values, strict=True)))[0].axes
    assert ax.get_yscale() == scale
    right = figure.axes[1]
    (line, *marks), (deviation,) = right.lines, right.collections
    assert line.get_xydata().tolist() == [list(end[:2]) for end in ends.values()]
    assert deviation.get_segments()[0][:, 1].tolist() == pytest.approx([0.7, 0.9])
    assert [mark.get_color() for mark in marks[:2]] == [line.get_color() for line in ax.lines[:2]]
    assert (right.get_xscale(), right.get_xlabel(), right.get_title()) == ("log", "lr", "test accuracy")
    low, high = ax.get_ylim()
    assert sum(low <= tick <= high for tick in ax.get_yticks()) >= 2


ODD = {
    "two classes, 1×1": make_case(n=12, classes=("no", "yes"), height=1, width=1),
    "36 classes": make_case(n=10, classes=[f"class {i}" for i in range(36)]),
    "letters without a glyph": make_case(n=12, classes=("上衣", "裤子", "包", "靴")),
    "mathematics": make_case(n=12, classes=("$x$", "b$ $c", "_", "$\\nonsense{$")),
    "long names": make_case(n=12, classes=[f"{i} has a name wider than an image" for i in range(4)]),
    "three high images": make_case(n=3, height=40, width=3),
    "one image and no results": make_case(n=1),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_data_is_drawn_as_wide_as_tensorboard_shows_images(name):
    case, title = ODD[name], ODD[name].classes[-1]
    tensors = [case.images, case.labels, case.p, case.W]
    before = [tensor.clone() for tensor in tensors]
    some = "no results" not in name
    results = {key: make_results(2) for key in case.classes if some}
    drawn = [pictures.samples(case.images, case.labels, case.classes, 255), pictures.predictions(*case.judged)]
    drawn += [pictures.own_images(case.images, case.classes * len(case.p), case.p, case.classes, 255)]
    drawn += [pictures.mistakes(*case.judged), pictures.confusion(case.counts, case.classes)]
    drawn += [pictures.weights(case.W, *case.images.shape[2:], case.classes, title), pictures.modes(results)]
    drawn += [pictures.curves(make_results(2 * some), title), pictures.drift([(1e-8, 1e-9)] * some)]
    drawn += [pictures.sweep({key: [1, 200] for key in results}, title)]
    for i, figure in enumerate(drawn):
        assert pixels(figure).shape[1] == 640
        texts = figure.findobj(Text)
        assert min(text.get_fontsize() for text in texts) >= 7
        assert not any(text.get_parse_math() for text in texts)
        said = "\n".join(text.get_text() for text in texts)
        assert i > 1 or all(case.classes[label][:11] in said for label in case.labels[:10])
    assert all(map(torch.equal, tensors, before))


def test_save_writes_the_picture_and_returns_its_bytes_without_pyplot(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it raises an ImportError
    module, path = runpy.run_path(pictures.__file__), tmp_path / "curves.png"
    figure = module["curves"](make_results(2), "t")
    assert module["save"](figure, path) == path.read_bytes()
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), pixels(figure))
