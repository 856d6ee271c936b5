import io
import subprocess
import sys
from typing import NamedTuple

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from PIL import Image
from sklearn import metrics

from d2l_softmax import figures
from d2l_softmax.training import EpochResult
from tests.processes import PATIENCE

CLASSES = ("T-shirt/top", "Trouser", "Bag", "Ankle boot")


class Drift(NamedTuple):
    weights: float
    loss: float


class Case(NamedTuple):
    images: torch.Tensor
    labels: torch.Tensor
    probabilities: torch.Tensor
    W: torch.Tensor
    classes: tuple[str, ...]

    @property
    def predicted(self):
        return self.probabilities.argmax(dim=1)

    @property
    def shown(self):
        return self.images, self.labels, self.probabilities, self.classes, 255


def make_case(n=130, height=6, width=5, classes=CLASSES, seed=0):
    """Random images, and predictions of which about half are right."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, height, width), generator=generator).to(torch.uint8)
    labels = torch.randint(0, len(classes), (n,), generator=generator)
    logits = torch.randn(n, len(classes), generator=generator, dtype=torch.float64)
    logits += torch.nn.functional.one_hot(labels, len(classes))
    W = torch.randn(height * width, len(classes), generator=generator)
    return Case(images, labels, logits.softmax(dim=1), W, tuple(classes))


def make_results(epochs, validation=False):
    held_back = (lambda e: (1 / e + 0.2, 0.7 - 0.1 / e)) if validation else lambda e: ()
    return [
        EpochResult(e, 1 / e, 0.9 - 0.1 / e, 1 / e + 0.1, 0.8 - 0.1 / e, 1.0, *held_back(e))
        for e in range(1, epochs + 1)
    ]


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def texts(figure):
    """Everything that the figure says."""
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def heading(figure):
    return figure.get_suptitle().replace("\n", " ")


def image_of(ax):
    (image,) = ax.images
    return image.get_array()


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def all_figures(case):
    return {
        "samples": figures.samples(case.images, case.labels, case.classes, 255),
        "weights": figures.weights(case.W, *case.images.shape[2:], case.classes, "weights"),
        "predictions": figures.predictions(*case.shown),
        "mistakes": figures.mistakes(*case.shown),
        "confusion": figures.confusion(case.labels, case.predicted, case.classes),
        "scores": figures.scores(case.labels, case.predicted, case.classes),
    }


@pytest.mark.parametrize("white", [255, 16])
def test_samples_are_the_first_25_images_with_their_names(white):
    case = make_case()
    axes = figures.samples(case.images, case.labels, case.classes, white).axes
    assert len(axes) == 25
    for ax, image, label in zip(axes, case.images, case.labels, strict=False):
        assert np.array_equal(image_of(ax), image[0])
        assert ax.images[0].get_clim() == (0, white)
        assert ax.get_title() == CLASSES[label]


def test_weights_are_the_columns_on_one_scale_about_zero():
    case = make_case()
    figure = figures.weights(case.W, 6, 5, CLASSES, "after epoch 3")
    assert heading(figure) == "after epoch 3"
    *axes, bar = figure.axes
    assert len(axes) == len(CLASSES)
    limit = float(case.W.abs().max())
    for i, ax in enumerate(axes):
        assert np.array_equal(image_of(ax), case.W[:, i].reshape(6, 5))
        assert ax.images[0].get_clim() == (-limit, limit)
        assert ax.images[0].get_cmap() == axes[0].images[0].get_cmap()
        assert ax.get_title() == CLASSES[i]
    assert bar.get_xlim() == (-limit, limit)


def test_weights_may_be_zero_or_want_a_gradient():
    figure = figures.weights(torch.zeros(30, 4, requires_grad=True), 6, 5, CLASSES, "at the start")
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high < 0
    pixels(figure)


def test_weights_of_many_classes_say_how_many_are_shown():
    case = make_case(classes=[str(i) for i in range(36)])
    figure = figures.weights(case.W, 6, 5, case.classes, "weights")
    assert len(figure.axes) == 25 + 1
    assert "first 25 of 36" in heading(figure)


def test_predictions_tell_right_from_wrong_by_more_than_colour():
    case = make_case()
    figure = figures.predictions(*case.shown)
    assert len(figure.axes) == 10
    looks = {True: set(), False: set()}
    for i, ax in enumerate(figure.axes):
        probabilities, label = case.probabilities[i].numpy(), int(case.labels[i])
        guess = int(np.argmax(probabilities))
        assert np.array_equal(image_of(ax), case.images[i, 0])
        assert f"{CLASSES[guess]}\n{100 * probabilities[guess]:.1f}%" in ax.get_title()
        assert f"true: {CLASSES[label]}" in ax.get_xlabel()
        frame = ax.spines["left"]
        looks[guess == label].add((ax.get_title()[0], str(frame.get_linestyle()), to_hex(frame.get_edgecolor())))
    (right,), (wrong,) = looks[True], looks[False]
    assert all(a != b for a, b in zip(right, wrong, strict=True))
    assert (right[0], wrong[0]) == ("✓", "✗")
    assert f"{(case.labels == case.predicted)[:10].sum()} right" in heading(figure)


def test_mistakes_are_the_most_confident_wrong_predictions():
    case = make_case()
    wrong = [
        (max(row), i) for i, row in enumerate(case.probabilities.tolist()) if row.index(max(row)) != case.labels[i]
    ]
    surest = sorted(wrong, reverse=True)[:10]
    figure = figures.mistakes(*case.shown)
    assert len(figure.axes) == len(surest) == 10
    for ax, (probability, i) in zip(figure.axes, surest, strict=True):
        assert np.array_equal(image_of(ax), case.images[i, 0])
        assert ax.get_title() == f"✗ {CLASSES[case.predicted[i]]}\n{probability:.1%}"
        truth = int(case.labels[i])
        assert ax.get_xlabel() == f"true: {CLASSES[truth]}\n{float(case.probabilities[i, truth]):.1%}"
    among = sum(i < 100 for _, i in wrong)
    assert f"{len(wrong)} of 130 and {among} of the first 100" in heading(figure)


def test_few_mistakes_are_all_shown():
    case = make_case(n=8)
    wrong = int((case.labels != case.predicted).sum())
    figure = figures.mistakes(*case.shown)
    assert 0 < wrong < 8
    assert len(figure.axes) == wrong
    assert f"{wrong} of 8" in heading(figure)


def test_no_mistakes_are_said_to_be_none():
    labels = torch.tensor([0, 1, 1])
    figure = figures.mistakes(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), labels, torch.eye(2)[labels], "ab", 255)
    assert figure.axes == []
    assert any("no mistakes" in text for text in texts(figure))
    assert "0 of 3" in heading(figure)


def test_confusion_counts_true_rows_and_predicted_columns():
    case = make_case()
    figure = figures.confusion(case.labels, case.predicted, CLASSES)
    ax = figure.axes[0]
    expected = metrics.confusion_matrix(case.labels, case.predicted)
    cells = {text.get_position(): int(text.get_text()) for text in ax.texts}
    assert cells == {(column, row): count for (row, column), count in np.ndenumerate(expected)}
    shares = metrics.confusion_matrix(case.labels, case.predicted, normalize="true")
    np.testing.assert_allclose(image_of(ax), shares)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(CLASSES)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert f"{expected.trace()} of 130" in heading(figure)


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_counts_can_be_read_on_every_shade():
    for hits in (0, 30, 50, 60, 65, 68, 69, 70, 71, 72, 75, 80, 100):
        labels, predicted = [0] * 100, [0] * hits + [1] * (100 - hits)
        ax = figures.confusion(labels, predicted, ["a", "b"]).axes[0]
        for text in ax.texts:
            column, row = text.get_position()
            behind = ax.images[0].to_rgba(image_of(ax))[row, column, :3]
            dark, bright = sorted([luminance(text.get_color()), luminance(behind)])
            assert (bright + 0.05) / (dark + 0.05) > 4.2


def test_confusion_of_absent_classes_and_of_many():
    ax = figures.confusion([0, 1], [0, 1], CLASSES).axes[0]
    assert image_of(ax).shape == (4, 4)
    assert np.isfinite(image_of(ax)).all()
    many = make_case(classes=[str(i) for i in range(60)])
    ax = figures.confusion(many.labels, many.predicted, many.classes).axes[0]
    assert list(ax.texts) == []
    assert [int(label.get_text()) for label in ax.get_yticklabels()] == [int(tick) for tick in ax.get_yticks()]
    assert len(ax.get_yticks()) <= 40


def test_scores_are_those_of_scikit_learn():
    case = make_case()
    figure = figures.scores(case.labels, case.predicted, CLASSES)
    (ax,) = figure.axes
    lines = lines_of(ax)
    expected = metrics.precision_recall_fscore_support(case.labels, case.predicted)
    assert legend_of(figure) == ["precision", "recall", "F1"]
    for name, values in zip(("precision", "recall", "F1"), expected, strict=False):
        np.testing.assert_allclose(lines[name].get_xdata(), values)
        assert np.array_equal(lines[name].get_ydata().round(), range(4))
    assert len({line.get_marker() for line in lines.values()}) == 3
    assert ax.get_xlim()[0] <= np.min(expected[:3])
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    bottom, top = ax.get_ylim()
    assert bottom > top  # the first class is on top


def test_scores_text_is_that_of_scikit_learn():
    case = make_case()
    expected = metrics.classification_report(case.labels, case.predicted, target_names=CLASSES, digits=4)
    assert figures.scores_text(case.labels, case.predicted, CLASSES) == expected


@pytest.mark.filterwarnings("error")
def test_scores_of_a_class_that_never_occurs_are_zero():
    figure = figures.scores([0, 1], [0, 1], ["a", "b", "c"])
    assert list(lines_of(figure.axes[0])["F1"].get_xdata()) == [1, 1, 0]
    assert "c     0.0000    0.0000    0.0000         0" in figures.scores_text([0, 1], [0, 1], ["a", "b", "c"])


@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("epochs", [1, 2, 60])
def test_curves_are_the_results(epochs, validation):
    results = make_results(epochs, validation)
    figure = figures.curves(results, "a run")
    assert heading(figure) == "a run"
    parts = ["train", "test", "validation"] if validation else ["train", "test"]
    assert legend_of(figure) == parts
    for ax, quantity in zip(figure.axes, ("loss", "accuracy"), strict=True):
        assert ax.get_title() == quantity
        lines = lines_of(ax)
        assert list(lines) == parts
        for part, line in lines.items():
            assert list(line.get_xdata()) == list(range(1, epochs + 1))
            assert list(line.get_ydata()) == [getattr(result, f"{part}_{quantity}") for result in results]
        for look in ("color", "linestyle", "marker"):
            assert len({getattr(line, f"get_{look}")() for line in lines.values()}) == len(parts)
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(tick == int(tick) and tick >= 1 for tick in ticks)
        assert low < 1
        assert high > epochs


def test_modes_that_coincide_all_stay_visible():
    results = make_results(5)
    names = ["scratch", "concise", "manual"]
    figure = figures.modes(dict.fromkeys(names, results))
    assert legend_of(figure) == names
    drawn = {ax.get_title(): lines_of(ax) for ax in figure.axes}
    assert set(drawn) == {"train loss", "test loss", "train accuracy", "test accuracy"}
    for title, lines in drawn.items():
        assert list(lines) == names
        for line in lines.values():
            assert list(line.get_ydata()) == [getattr(result, title.replace(" ", "_")) for result in results]
        widths = [line.get_linewidth() for line in lines.values()]
        assert widths == sorted(set(widths), reverse=True)
        assert len({line.get_marker() for line in lines.values()}) == 3
    drawn_pixels = pixels(figure)[..., :3]
    for line in drawn["train loss"].values():
        colour = np.rint(255 * np.array(to_rgb(line.get_color())))
        assert (drawn_pixels == colour).all(axis=2).sum() > 100


def test_drift_is_drawn_by_epoch_on_a_logarithmic_axis():
    drifts = [Drift(1e-8, 3e-9), Drift(2e-7, 5e-9), Drift(1e-6, 1e-3)]
    figure = figures.drift(drifts)
    (ax,) = figure.axes
    assert ax.get_yscale() == "log"
    assert [ax.get_ylim()[0] < 3e-9, ax.get_ylim()[1] > 1e-3] == [True, True]
    lines = lines_of(ax)
    assert list(lines["weights"].get_ydata()) == [1e-8, 2e-7, 1e-6]
    assert list(lines["loss"].get_ydata()) == [3e-9, 5e-9, 1e-3]
    assert list(lines["loss"].get_xdata()) == [1, 2, 3]
    assert "0" not in heading(figure)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("drifts", [[Drift(0.0, 0.0), Drift(2e-7, 0.0)], [Drift(0.0, 0.0)] * 3])
def test_drift_of_zero_is_a_hollow_point_at_the_bottom(drifts):
    figure = figures.drift(drifts)
    (ax,) = figure.axes
    pixels(figure)
    bottom = ax.get_ylim()[0]
    assert 0 < bottom < 2e-7
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    for line, name in zip(hollow, Drift._fields, strict=True):
        assert list(line.get_xdata()) == [e for e, drift in enumerate(drifts, 1) if getattr(drift, name) == 0]
        assert set(line.get_ydata()) == {bottom}
    assert "exactly 0" in heading(figure)


def test_drift_shows_points_between_zeros_of_a_long_run():
    (ax,) = figures.drift([Drift(1e-6, 1e-7 if e == 31 else 0.0) for e in range(60)]).axes
    assert lines_of(ax)["loss"].get_markevery() in (None, 1)


def test_sweep_draws_every_value_and_marks_what_diverged():
    losses = {
        "lr=0.01": [2.0, 1.5, 1.2],
        "lr=0.1": [1.0, 0.7, 0.5],
        "lr=1": [3.0, 4.0],
        "lr=10": [5.0, 6.0, float("nan")],
        "lr=100": [float("inf")],
        "lr=1000": [],
    }
    figure = figures.sweep(losses, "learning rates")
    (ax,) = figure.axes
    diverged = [f"lr={value} (diverged)" for value in (1, 10, 100, 1000)]
    assert legend_of(figure) == ["lr=0.01", "lr=0.1", *diverged]
    lines = lines_of(ax)
    assert list(lines["lr=0.1"].get_xdata()) == [1, 2, 3]
    assert list(lines["lr=0.1"].get_ydata()) == losses["lr=0.1"]
    assert list(lines["lr=1 (diverged)"].get_ydata()) == losses["lr=1"]
    crosses = [(line.get_xdata(), line.get_ydata()) for line in ax.lines if line.get_marker() == "x"]
    assert [(float(np.ravel(x)[0]), float(np.ravel(y)[0])) for x, y in crosses] == [(2, 4), (2, 6)]
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines.values()]
    assert len(set(looks)) == len(losses)
    pixels(figure)


@pytest.mark.parametrize(("losses", "scale"), [([[1, 0.5], [4, 2]], "linear"), ([[1, 0.5], [40, 90]], "log")])
def test_sweep_is_logarithmic_where_losses_are_far_apart(losses, scale):
    figure = figures.sweep({"a": losses[0], "b": losses[1]}, "a sweep")
    assert figure.axes[0].get_yscale() == scale
    pixels(figure)
    low, high = figure.axes[0].get_ylim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_yticks()) >= 2


def test_every_figure_is_as_wide_as_tensorboard_shows_images():
    results = make_results(3)
    others = [figures.curves(results, "t"), figures.modes({"a": results}), figures.drift([Drift(1, 1)])]
    for figure in [*all_figures(make_case(n=12)).values(), *others, figures.sweep({"a": [1.0]}, "t")]:
        assert figure.get_figwidth() * figure.get_dpi() == 640
        assert min(text.get_fontsize() for text in figure.findobj(matplotlib.text.Text)) >= 7


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(make_case(n=12, classes=("no", "yes"), height=1, width=1), id="two classes, 1x1"),
        pytest.param(make_case(n=10, classes=[f"class {i}" for i in range(36)]), id="36 classes"),
        pytest.param(make_case(n=12, classes=("上衣", "裤子", "包", "靴")), id="CJK"),
        pytest.param(make_case(n=12, classes=[f"{i} has a name wider than an image" for i in range(4)]), id="long"),
        pytest.param(make_case(n=3, height=40, width=3), id="three images, high"),
        pytest.param(make_case(n=1), id="one image"),
    ],
)
def test_odd_data_is_drawn_without_a_warning(case):
    for name, figure in all_figures(case).items():
        shape = pixels(figure).shape
        assert shape[1] == 640
        said = "\n".join(texts(figure))
        shown = case.labels[:10] if name in ("samples", "predictions") else []
        for label in shown:
            assert case.classes[label][:11] in said


@pytest.mark.filterwarnings("error")
def test_dollars_are_no_mathematics():
    case = make_case(n=10, classes=("$x$", "b$ $c", "_", "$\\nonsense{$"))
    results = make_results(2)
    others = [
        figures.curves(results, "$x_1$ $\\nonsense{$"),
        figures.modes({"$a$": results, "$\\nonsense{$": results}),
        figures.sweep({"$\\nonsense{$": [1, 2], "b": [100, 200]}, "$x$"),
    ]
    for figure in [*all_figures(case).values(), *others]:
        pixels(figure)
        written = [text for text in figure.findobj(matplotlib.text.Text) if "$" in text.get_text()]
        assert not any(text.get_parse_math() for text in written)


def test_runs_without_results_are_drawn():
    for figure in (figures.curves([], "t"), figures.modes({}), figures.drift([]), figures.sweep({}, "t")):
        assert pixels(figure).shape[1] == 640


def test_inputs_are_left_as_they_are():
    case = make_case()
    before = [tensor.clone() for tensor in case[:4]]
    all_figures(case)
    assert all(torch.equal(a, b) for a, b in zip(before, case[:4], strict=True))


def test_save_writes_a_whole_png_and_nothing_else(tmp_path):
    figure = figures.curves(make_results(2), "t")
    for _ in range(2):
        figures.save(figure, tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), pixels(figure))


def test_a_failed_save_leaves_the_old_picture_and_no_other_file(tmp_path, monkeypatch):
    def fail_halfway(path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    path = tmp_path / "curves.png"
    figure = figures.curves(make_results(2), "t")
    figures.save(figure, path)
    before = path.read_bytes()
    monkeypatch.setattr(figure, "savefig", fail_halfway)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_needs_no_pyplot(tmp_path):
    script = """
import sys
from d2l_softmax import figures
figures.save(figures.confusion([0, 1, 1], [0, 1, 0], ["a", "b"]), sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.png")], check=True, timeout=PATIENCE)


def test_redrawn_weights_are_those_of_a_new_figure():
    first, second = (torch.randn(12, 3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    classes = ["a", "b", "c"]
    redrawn = figures.weights(first, 4, 3, classes, "before")
    redrawn.savefig(io.BytesIO())
    figures.redraw_weights(redrawn, 5 * second, "after")
    new = figures.weights(5 * second, 4, 3, classes, "after")
    assert redrawn.get_suptitle() == new.get_suptitle()
    for ours, theirs in zip(redrawn.axes[:3], new.axes[:3], strict=True):
        assert np.array_equal(ours.images[0].get_array(), theirs.images[0].get_array())
        assert ours.images[0].get_clim() == theirs.images[0].get_clim()
    assert redrawn.axes[3].get_xlim() == new.axes[3].get_xlim()
