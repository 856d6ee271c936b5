"""A real TensorBoard server on finished runs, asked over HTTP as its own pages ask it."""

import csv
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest

from d2l_softmax.cli import main

EPOCHS = 2


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """A run, a comparison and a sweep under one folder."""
    folder = tmp_path_factory.mktemp("runs")
    digits = ["--dataset", "digits", "--epochs", str(EPOCHS), "--logdir", str(folder)]
    assert main([*digits, "--mode", "concise", "--run-name", "one"]) == 0
    assert main([*digits, "--mode", "compare", "--modes", "scratch,manual", "--run-name", "both"]) == 0
    sweep = ["--lr", "0.5", "0.05", "--weight-decay", "0", "1e20", "--run-name", "sweep"]
    assert main([*digits, *sweep]) == 0
    return folder


@pytest.fixture(scope="module")
def ask(logdir):
    """Ask the server for a path, with what is to be posted where there is something; a JSON answer is parsed."""
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(logdir),
        "--host",
        "127.0.0.1",
        "--port",
        "0",
    ]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if match := re.search(r"at (http://127\.0\.0\.1:\d+)", line):
            break
    else:
        pytest.fail("TensorBoard did not start")
    threading.Thread(target=server.stderr.read, daemon=True).start()

    def answer(path, post=None, **query):
        url = f"{match[1]}/data/{path}?{urllib.parse.urlencode(query)}"
        body = None if post is None else json.dumps(post).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})
        with urllib.request.urlopen(request, timeout=60) as response:
            content = response.read()
            return json.loads(content) if "json" in response.headers["Content-Type"] else content

    def loaded():
        """Whether the server, which reads in the background, has read everything."""
        tags = answer("plugin/scalars/tags")
        wanted = {run: "drift/loss" if "drift" in run else "loss/test" for run in CURVES}
        return (
            all(tag in tags.get(run, {}) for run, tag in wanted.items())
            and all(len(answer("plugin/scalars/scalars", run=r, tag=t)) == EPOCHS for r, t in wanted.items())
            and len(answer("plugin/pr_curves/tags").get("one", {})) == 10
        )

    deadline = time.monotonic() + 60
    while not loaded() and time.monotonic() < deadline:
        time.sleep(0.2)
    yield answer
    server.terminate()
    server.wait(30)


SWEEP = [f"sweep/lr={lr},weight_decay={decay}" for lr in ("0.5", "0.05") for decay in ("0", "1e+20")]
CURVES = {"one", "both/scratch", "both/manual", "both/drift", *(run for run in SWEEP if run.endswith("=0"))}
EXPECTED_RUNS = {"one", "both/scratch", "both/manual", "both/drift", "sweep/sweep", *SWEEP}


def test_there_are_no_other_runs(ask):
    assert set(ask("runs")) == EXPECTED_RUNS


def test_scalars_are_grouped_and_are_the_figures_of_the_run(ask, logdir):
    tags = ask("plugin/scalars/tags")
    assert set(tags["one"]) == {"loss/train", "loss/test", "accuracy/train", "accuracy/test"}
    assert set(tags["both/drift"]) == {"drift/weights", "drift/loss"}
    with (logdir / "one" / "metrics.csv").open() as file:
        expected = [float(row["test_loss"]) for row in csv.DictReader(file)]
    points = ask("plugin/scalars/scalars", run="one", tag="loss/test")
    assert [(step, pytest.approx(value)) for _, step, value in points] == list(enumerate(expected, 1))


def test_pictures_are_there_and_are_the_png_files(ask, logdir):
    tags = ask("plugin/images/tags")
    names = ("samples", "weights", "curves", "predictions", "mistakes", "confusion", "scores")
    assert {f"figures/{name}" for name in names} == set(tags["one"])
    (image,) = ask("plugin/images/images", run="one", tag="figures/confusion", sample=0)
    content = ask(f"plugin/images/individualImage?{image['query']}&")
    assert content == (logdir / "one" / "confusion.png").read_bytes()
    steps = [image["step"] for image in ask("plugin/images/images", run="one", tag="figures/weights", sample=0)]
    assert steps == [0, 1, 2]
    assert set(tags["both/drift"]) == {"figures/curves", "figures/drift"}
    assert set(tags["sweep/sweep"]) == {"figures/sweep"}


def test_hparams_have_the_settings_and_the_final_figures(ask, logdir):
    request = {"experimentName": "", "startIndex": 0, "sliceSize": 100, "colParams": []}
    request["allowedStatuses"] = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    groups = ask("plugin/hparams/session_groups", request)["sessionGroups"]
    assert len(groups) == 4
    with (logdir / "sweep" / "sweep.csv").open() as file:
        rows = {(float(r["lr"]), float(r["weight_decay"])): r for r in csv.DictReader(file)}
    for group in groups:
        row = rows[group["hparams"]["lr"], group["hparams"]["weight_decay"]]
        values = {m["name"]["tag"]: m["value"] for m in group["metricValues"]}
        if row["diverged_in"]:
            assert values == {}
        else:
            assert values["accuracy/test"] == pytest.approx(float(row["test_accuracy"]))
            assert values["loss/train"] == pytest.approx(float(row["train_loss"]))


def test_pr_curves_graph_histogram_and_texts_are_there(ask):
    assert len(ask("plugin/pr_curves/tags")["one"]) == 10
    (curve,) = ask("plugin/pr_curves/pr_curves", run="one", tag="pr/0").values()
    assert len(curve[0]["precision"]) > 10
    assert ask("plugin/graphs/info")["one"]["run_graph"]
    assert not ask("plugin/graphs/info").get("both/manual", {}).get("run_graph")
    assert list(ask("plugin/histograms/tags")["one"]) == ["weights"]
    assert len(ask("plugin/histograms/histograms", run="one", tag="weights")) == EPOCHS
    assert {"settings/text_summary", "scores/text_summary"} == set(ask("plugin/text/tags")["one"])
    text = ask("plugin/text/text", run="one", tag="settings/text_summary")[0]["text"]
    assert re.search(r"lr_schedule.*constant", text, re.DOTALL)
