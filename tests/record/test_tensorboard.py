"""A real TensorBoard server on finished runs, asked over HTTP as its own pages ask it."""

import io
import json
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
from PIL import Image, ImageChops

from tests.processes import PATIENCE, wait_until
from tests.runs import rows, train

pytestmark = pytest.mark.slow

SWEEP = [f"sweep/lr={lr},weight_decay={decay}" for lr in ("0.5", "0.05") for decay in ("0", "1e+20")]
WHOLE = ["one", "both/scratch", "both/manual", *(run for run in SWEEP if run.endswith("=0"))]
EXPECTED_RUNS = {"both/differences", *WHOLE, *SWEEP}
DRAWN = WHOLE[:3]  # not the runs of a sweep
PICTURES = {f"picture: {n}" for n in ("samples", "weights", "curves", "predictions", "mistakes", "confusion")}
TAGS = [f"{figure}/{part}" for figure in ("accuracy", "loss") for part in ("test", "train")]
DIFFERENCES = [f"mode differences/largest in a {what}" for what in ("loss", "weight")]


@contextmanager
def tensorboard(logdir):
    """A TensorBoard server as a user starts it: its address, and a function that asks it."""

    def ask(path, post=None, **query):
        body = None if post is None else json.dumps(post).encode()
        address = f"{url}/data/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"} if body else {})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            content = response.read()
            return json.loads(content) if "json" in response.headers["Content-Type"] else content

    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--host", "127.0.0.1", "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            found = (re.search(r"at (http://127\.0\.0\.1:\d+)", line) for line in server.stderr)
            url = next(filter(None, found))[1]
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield url, ask
        finally:
            server.terminate()


def has(ask, plugin, tag, runs):
    """Whether the server, which reads in the background, has come to this tag in all of these runs."""
    tags = ask(f"plugin/{plugin}/tags")
    return all(tag in tags.get(run, {}) for run in runs)


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """A run, a comparison and a sweep in one folder. The runs of the sweep that have a weight decay diverge."""
    folder = tmp_path_factory.mktemp("runs")
    assert train(folder, "one", "--mode", "concise", figures=True) == 0
    assert train(folder, "both", "--mode", "compare", "--modes", "scratch,manual", figures=True) == 0
    assert train(folder, "sweep", "--lr", "0.5", "0.05", "--weight-decay", "0", "1e20", figures=True) == 0
    return folder


@pytest.fixture(scope="module")
def ask(logdir):
    """Ask the server, once it has read what each run has written last."""
    with tensorboard(logdir) as (_, ask):
        wait_until(lambda: set(ask("runs")) >= EXPECTED_RUNS)
        wait_until(lambda: has(ask, "text", "scores/text_summary", DRAWN))
        wait_until(lambda: has(ask, "images", "picture: drift", ["both/differences"]))
        yield ask


def test_scalars_are_grouped(ask):
    assert set(ask("runs")) == EXPECTED_RUNS
    tags = ask("plugin/scalars/tags")
    assert set(tags["one"]) == set(TAGS)
    assert set(tags["both/differences"]) == set(DIFFERENCES)


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
    expected = {(float(row["lr"]), float(row["weight_decay"])): row for row in rows(logdir / "sweep", "sweep.csv")}
    assert len(groups) == len(expected) == 4
    for group in groups:
        row = expected[group["hparams"]["lr"], group["hparams"]["weight_decay"]]
        values = {m["name"]["tag"]: m["value"] for m in group["metricValues"]}
        assert bool(row["diverged_in"]) == (not values) == (group["hparams"]["weight_decay"] > 0)
        if values:
            assert values["accuracy/test"] == pytest.approx(float(row["test_accuracy"]))
            assert values["loss/train"] == pytest.approx(float(row["train_loss"]))


def test_texts_are_there(ask):
    texts = {
        ("one", "settings"): "lr_schedule.*constant",
        ("one", "scores"): "precision.*accuracy 0",
        ("both/differences", "comparison"): "<strong>scratch, manual take the same steps.*after epoch 2.*Smoothing",
    }
    for (run, tag), words in texts.items():
        (text,) = ask("plugin/text/text", run=run, tag=f"{tag}/text_summary")
        assert re.search(words, text["text"], re.DOTALL)
