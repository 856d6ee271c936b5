"""A real TensorBoard server on finished runs, asked over HTTP as its own pages ask it."""

import csv
import io
import re

import pytest
from PIL import Image, ImageChops

from d2l_softmax.commands.train import main
from tests.processes import tensorboard, wait_until

pytestmark = pytest.mark.slow

SWEEP = [f"sweep/lr={lr},weight_decay={decay}" for lr in ("0.5", "0.05") for decay in ("0", "1e+20")]
WHOLE = ["one", "both/scratch", "both/manual", *(run for run in SWEEP if run.endswith("=0"))]
EXPECTED_RUNS = {"both/differences", *WHOLE, *SWEEP}
DRAWN = WHOLE[:3]  # not the runs of a sweep
PICTURES = {f"picture: {n}" for n in ("samples", "weights", "curves", "predictions", "mistakes", "confusion")}


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """A run, a comparison and a sweep in one folder. The runs of the sweep that have a weight decay diverge."""
    folder = tmp_path_factory.mktemp("runs")
    digits = ["--dataset", "digits", "--epochs", "2", "--logdir", str(folder), "--run-name"]
    assert main([*digits, "one", "--mode", "concise"]) == 0
    assert main([*digits, "both", "--mode", "compare", "--modes", "scratch,manual"]) == 0
    assert main([*digits, "sweep", "--lr", "0.5", "0.05", "--weight-decay", "0", "1e20"]) == 0
    return folder


@pytest.fixture(scope="module")
def ask(logdir):
    """Ask the server, once it has read everything."""
    with tensorboard(logdir) as ask:
        wait_until(lambda: set(ask("runs")) >= EXPECTED_RUNS)
        # What each run has written last.
        wait_until(lambda: ask.has("text", "scores/text_summary", *DRAWN))
        wait_until(lambda: ask.has("images", "picture: drift", "both/differences"))
        yield ask


def test_scalars_are_grouped_and_are_the_figures_of_the_run(ask, logdir):
    assert set(ask("runs")) == EXPECTED_RUNS
    tags = ask("plugin/scalars/tags")
    assert set(tags["one"]) == {"loss/train", "loss/test", "accuracy/train", "accuracy/test"}
    assert set(tags["both/differences"]) == {f"mode differences/largest in a {what}" for what in ("weight", "loss")}
    expected = enumerate((float(row["test_loss"]) for row in rows(logdir / "one" / "metrics.csv")), 1)
    points = ask.points("one", "loss/test")
    assert [(step, pytest.approx(value)) for _, step, value in points] == list(expected)


def test_pictures_are_there_and_are_the_png_files(ask, logdir):
    tags = ask("plugin/images/tags")
    assert all(set(tags.get(run, ())) == (PICTURES if run in DRAWN else set()) for run in WHOLE)
    assert set(tags["both/differences"]) == {"picture: all modes", "picture: drift"}
    for tag in PICTURES:
        (image,) = ask("plugin/images/images", run="one", tag=tag, sample=0)
        content = ask(f"plugin/images/individualImage?{image['query']}&")
        written = Image.open(logdir / "one" / f"{tag.removeprefix('picture: ')}.png")
        assert ImageChops.difference(Image.open(io.BytesIO(content)), written).getbbox(alpha_only=False) is None
        assert image["step"] == 2


def test_hparams_have_the_settings_and_the_final_figures(ask, logdir):
    request = {"experimentName": "", "startIndex": 0, "sliceSize": 100, "colParams": []}
    request["allowedStatuses"] = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    groups = ask("plugin/hparams/session_groups", request)["sessionGroups"]
    expected = {(float(row["lr"]), float(row["weight_decay"])): row for row in rows(logdir / "sweep" / "sweep.csv")}
    assert len(groups) == len(expected) == 4
    for group in groups:
        row = expected[group["hparams"]["lr"], group["hparams"]["weight_decay"]]
        values = {m["name"]["tag"]: m["value"] for m in group["metricValues"]}
        assert bool(row["diverged_in"]) == (not values) == (group["hparams"]["weight_decay"] > 0)
        if values:
            assert values["accuracy/test"] == pytest.approx(float(row["test_accuracy"]))
            assert values["loss/train"] == pytest.approx(float(row["train_loss"]))


def test_the_modes_share_a_chart_for_the_losses_and_one_for_the_accuracies(ask):
    (category,) = ask("plugin/custom_scalars/layout")["category"]
    for chart, kind in zip(category["chart"], ("loss", "accuracy"), strict=True):
        assert chart["title"] == kind
        for run in ("both/scratch", "both/manual"):
            found = ask("plugin/custom_scalars/scalars", run=run, tag=chart["multiline"]["tag"][0])
            assert set(found["tag_to_events"]) == {f"{kind}/train", f"{kind}/test"}


def test_texts_are_there(ask):
    texts = {
        ("one", "settings"): "lr_schedule.*constant",
        ("one", "scores"): "precision.*accuracy 0",
        ("both/differences", "comparison"): "<strong>scratch, manual take the same steps.*after epoch 2.*Smoothing",
    }
    for (run, tag), words in texts.items():
        (text,) = ask("plugin/text/text", run=run, tag=f"{tag}/text_summary")
        assert re.search(words, text["text"], re.DOTALL)
