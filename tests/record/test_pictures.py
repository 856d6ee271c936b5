import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from sklearn import metrics

from d2l_softmax.record import pictures
from d2l_softmax.training import EpochResult

pytestmark = pytest.mark.filterwarnings("error")
CLASSES = ("T-shirt/top", "Trouser", "Bag", "Ankle boot")


def make_case(n=130, height=6, width=5, classes=CLASSES):
    """Random images and weights, and predictions of which about half are right."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 1, height, width), generator=generator).to(torch.uint8)
    labels = torch.randint(0, len(classes), (n,), generator=generator)
    logits = torch.randn(n, len(classes), generator=generator, dtype=torch.float64)
    p = (logits + torch.nn.functional.one_hot(labels, len(classes))).softmax(dim=1)
    W = torch.randn(height * width, len(classes), generator=generator)
    judged = images, labels, p, classes, 255
    return SimpleNamespace(
        images=images, labels=labels, p=p, W=W, classes=classes, guesses=p.argmax(1), judged=judged
    )


def make_results(epochs, *validation):
    return [EpochResult(e, 1 / e, 0.9 - 0.1 / e, 1 / e + 0.1, 0.8, 1.0, *validation) for e in range(1, epochs + 1)]


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
    """For each of these images, which the figure must show: the text above it, that below it, and its frame."""
    axes = [ax for ax in figure.axes if ax.images]
    for ax, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
        assert ax.images[0].get_clim() == limits
        yield ax.get_title(), ax.get_xlabel(), ax.spines["left"]


def test_samples_are_the_first_images_with_their_names():
    case = make_case()
    shown = cells(pictures.samples(case.images, case.labels, CLASSES, 16), case.images[:10, 0], (0, 16))
    assert [above for above, *_ in shown] == [CLASSES[label] for label in case.labels[:10]]


@pytest.mark.parametrize(("count", "factor"), [(4, 1), (4, 0), (36, 1)])
def test_weights_are_columns_on_one_scale_about_zero(count, factor):
    case = make_case(classes=[str(i) for i in range(count)])
    W = case.W * factor
    figure, shown = pictures.weights(W.clone().requires_grad_(), 6, 5, case.classes, "after epoch 3"), W[:, :25]
    limit = float(shown.abs().max()) or 1.0
    names = [above for above, *_ in cells(figure, shown.T.reshape(-1, 6, 5), (-limit, limit))]
    assert (names, figure.axes[-1].get_xlim()) == (case.classes[:25], (-limit, limit))
    assert ("25 of 36" in figure.get_suptitle()) == (count == 36)


@pytest.mark.parametrize(("draw", "n"), [("predictions", 130), ("mistakes", 130), ("mistakes", 8), ("mistakes", 1)])
def test_judged_images_say_what_is_right_by_sign_and_line_and_colour(draw, n):
    case = make_case(n)
    figure, right = getattr(pictures, draw)(*case.judged), (case.guesses == case.labels).tolist()
    wrong = sorted((i for i in range(n) if not right[i]), key=lambda i: -float(case.p[i].max()))
    order, looks = list(range(10)) if draw == "predictions" else wrong[:10], {True: set(), False: set()}
    for (above, below, frame), i in zip(cells(figure, case.images[order, 0], (0, 255)), order, strict=True):
        guess, label = int(case.guesses[i]), int(case.labels[i])
        assert above == f"{'✓' if right[i] else '✗'} {CLASSES[guess]}\np = {100 * case.p[i, guess]:.1f}%"
        assert below == f"true: {CLASSES[label]}" + ("" if right[i] else f"\np = {100 * case.p[i, label]:.1f}%")
        looks[right[i]].add((str(frame.get_linestyle()), to_hex(frame.get_edgecolor())))
    assert [len(look) for look in looks.values()] == [draw == "predictions", bool(order)]
    assert not set().union(*looks[True]) & set().union(*looks[False])
    assert (f"Wrong: {len(wrong)} of {n}" if draw == "mistakes" else "The first images") in figure.get_suptitle()


@pytest.mark.parametrize("n", [13, 1])
def test_own_images_are_drawn_with_their_most_probable_classes(n):
    case = make_case(n)
    figure = pictures.own_images(case.images, [f"{i}.png" for i in range(n)], case.p, CLASSES, 255)
    for i, (above, below, _) in enumerate(cells(figure, case.images[:10, 0], (0, 255))):
        ranked = sorted(zip(case.p[i].tolist(), CLASSES, strict=True), reverse=True)
        assert (above, below) == (f"{i}.png", "\n".join(f"{name} {share:.1%}" for share, name in ranked))
    assert figure.get_suptitle().startswith("Your images" if n <= 10 else "The first 10 of your 13 images")


@pytest.mark.parametrize("count", [4, 60])
def test_confusion_has_true_rows_and_predicted_columns(count):
    case = make_case(classes=[f"class {i}" for i in range(count)])
    counts = metrics.confusion_matrix(case.labels, case.guesses, labels=range(count))
    counts[1] = 0  # a class without images
    figure = pictures.confusion(torch.from_numpy(counts), case.classes)
    ax, shown = figure.axes[0], {text.get_position()[::-1]: int(text.get_text()) for text in figure.axes[0].texts}
    assert shown == (dict(np.ndenumerate(counts)) if count == 4 else {})
    np.testing.assert_allclose(ax.images[0].get_array(), [row / (sum(row) or 1) for row in counts])
    for axis in (ax.xaxis, ax.yaxis):
        ticks = axis.get_majorticklocs().astype(int)
        assert [label.get_text() for label in axis.get_ticklabels()] == [case.classes[tick] for tick in ticks]
        assert len(ticks) == {4: 4, 60: 30}[count]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert f"{counts.trace()} of {counts.sum()}" in figure.get_suptitle()


@pytest.mark.parametrize(("epochs", "validation"), [(1, ()), (2, (0.25, 0.75)), (60, ())])
def test_curves_are_the_results(epochs, validation):
    results = make_results(epochs, *validation)
    figure = pictures.curves(results, "a run")
    assert (figure.get_suptitle(), [ax.get_title() for ax in figure.axes]) == ("a run", ["loss", "accuracy"])
    for i, quantity in enumerate(("loss", "accuracy")):
        parts = ("train", "test", "validation")[: 2 + bool(validation)]
        ax = assert_lines(figure, {p: [getattr(r, f"{p}_{quantity}") for r in results] for p in parts}, i)[0].axes
        low, high = ax.get_xlim()
        assert low < 1 <= epochs < high
        assert set() < {tick for tick in ax.get_xticks() if low < tick < high} <= set(range(1, epochs + 1))


@pytest.mark.parametrize("epochs", [1, 40])
def test_modes_that_coincide_all_stay_visible(epochs):
    results, names = make_results(epochs), ["scratch", "concise", "manual"]
    figure = pictures.modes(dict.fromkeys(names, results))
    for i, quantity in enumerate(("train_loss", "train_accuracy", "test_loss", "test_accuracy")):
        assert_lines(figure, {name: [getattr(result, quantity) for result in results] for name in names}, i)
        assert figure.axes[i].get_title() == quantity.replace("_", " ")
    figure.legends[0].remove()
    drawn = pixels(figure)[..., :3]
    for line in figure.axes[0].lines:
        colour = np.rint(255 * np.array(to_rgb(line.get_color())))
        assert (drawn == colour).all(axis=2).sum() > 80


@pytest.mark.parametrize("drifts", [[(1e-8, 0.0), (1e-7, 3e-9), (1e-6, 1e-3)], [(0.0, 0.0)] * 3])
def test_drift_is_drawn_on_an_axis_that_is_logarithmic_above_zero(drifts):
    figure = pictures.drift(drifts)
    (line, _) = assert_lines(figure, dict(zip(("weights", "loss"), zip(*drifts, strict=True), strict=True)))
    low, high = line.axes.get_ylim()
    assert low == 0 <= max(map(max, drifts)) < high
    # Equal factors are equal distances.
    _, *(ys) = (line.axes.transData.transform((1, y))[1] for y in (0, *(one for one, _ in drifts)))
    assert ys[2] - ys[1] == pytest.approx(ys[1] - ys[0])


@pytest.mark.parametrize(("most", "scale"), [(4.9, "linear"), (100.0, "log")])
def test_sweep_draws_every_value_and_says_what_diverged(most, scale):
    losses = {"lr=0.01": [2.0, 1.5, 1.2], "lr=0.1": [1.0, 0.7, 0.5], "lr=1": [most, 4.0, np.nan], "lr=10": [np.nan]}
    figure = pictures.sweep(losses, "learning rates")
    names = ["lr=0.01", "lr=0.1", "lr=1 (diverged)", "lr=10 (diverged)"]
    (line, *_) = assert_lines(figure, dict(zip(names, losses.values(), strict=True)))
    assert line.axes.get_yscale() == scale


LONG = ("$x$", "b$ $c", "有很长很长很长的名字的靴子", *(f"{i} has a name wider than an image" for i in range(30)))
ODD = {"high images and long names": make_case(13, 40, 3, LONG), "few images": make_case(3, 2, 2, "0123456789")}


@pytest.mark.slow
@pytest.mark.skipif(not pictures.CJK_FONTS, reason="no font here has Chinese letters")
@pytest.mark.parametrize("name", ODD)
def test_every_text_is_whole_and_no_captions_overlap(name):
    case, title = ODD[name], "a/path/" * 20
    (images, labels, p, classes, _), files = case.judged, [f"{i}-{name}.png" * 9 for i in range(13)]
    drawn = [pictures.samples(images, labels, classes, 255), pictures.predictions(*case.judged, title)]
    drawn += [pictures.mistakes(*case.judged), pictures.own_images(images, files, p, classes, 255)]
    drawn += [pictures.weights(case.W, *images.shape[2:], classes, title), pictures.curves(make_results(2), title)]
    drawn += [pictures.modes({title: make_results(2), "scratch": make_results(2)})]
    drawn += [pictures.sweep({f"{key}={i}": [1, 200] for i in range(3) for key in classes[:4]}, title)]
    for figure in [*drawn, pictures.confusion(torch.eye(len(classes)).long(), classes)]:
        assert pixels(figure).shape[1] == 640  # as wide as TensorBoard shows images
        left, bottom, right, top = figure.get_tightbbox().extents
        assert min(left, bottom, figure.get_figwidth() - right, figure.get_figheight() - top) > -0.01
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
        captions = [text for ax in figure.axes for text in (ax.title, ax.xaxis.label) if text.get_text()]
        for one, other in itertools.combinations([text.get_window_extent() for text in captions], 2):
            assert not one.overlaps(other)
