"""A comparison in TensorBoard, as a browser shows it."""

import csv
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from d2l_softmax import MODES
from d2l_softmax.commands.train import main
from tests.processes import PATIENCE, tensorboard, wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EPOCHS = 3
DIFFERENCES = [f"mode differences/largest in a {what}" for what in ("loss", "weight")]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on PATH")]
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    logdir = tmp_path_factory.mktemp("runs")
    arguments = ["--mode", "compare", "--dataset", "digits", "--epochs", str(EPOCHS), "--no-figures"]
    assert main([*arguments, "--logdir", str(logdir), "--run-name", "run"]) == 0
    return logdir / "run"


@pytest.fixture(scope="module")
def page(folder):
    with tensorboard(folder) as ask, sync_playwright() as playwright:
        last = {**dict.fromkeys(MODES, "accuracy/test"), "differences": DIFFERENCES[0]}
        wait_until(lambda: all(ask.has("scalars", tag, run) for run, tag in last.items()))
        wait_until(lambda: all(len(ask.points(run, tag)) == EPOCHS for run, tag in last.items()))
        with playwright.chromium.launch(executable_path=CHROMIUM, timeout=1000 * PATIENCE) as browser:
            page = browser.new_page(viewport={"width": 1600, "height": 1900})
            page.set_default_timeout(1000 * PATIENCE)
            # Lines that are elements of the page rather than dots on a canvas, through the figures themselves.
            page.goto(f"{ask.url}/?forceSVG=true&smoothing=0#timeseries")
            yield page


def test_the_runs_are_the_modes_and_their_differences(page):
    names = page.locator("runs-data-table tb-data-table-content-row .table-column-run")
    expect(names).to_have_text(sorted([*MODES, "differences"]))
    expect(page.locator("runs-data-table input[type=checkbox]:checked")).to_have_count(1 + len(MODES) + 1)


def test_there_is_a_card_for_every_figure(page):
    # TensorBoard opens the first two groups of cards.
    tags = [f"{figure}/{part}" for figure in ("accuracy", "loss") for part in ("test", "train")]
    expect(page.locator("scalar-card tb-truncated-path")).to_have_text(tags)
    page.locator("button.group-toolbar", has_text="mode differences").click()
    expect(page.locator("scalar-card tb-truncated-path")).to_have_text([*tags, *DIFFERENCES])


@pytest.mark.parametrize("figure", ["loss", "accuracy"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_every_mode_has_its_curve(page, folder, figure, part):
    card = page.locator("scalar-card", has_text=f"{figure}/{part}")
    rows, lines = card.locator("tb-data-table-content-row"), card.locator(".series-view > svg path")
    expect(rows).to_have_count(len(MODES))
    expect(lines).to_have_count(len(MODES))
    drawn = dict(lines.evaluate_all("paths => paths.map(path => [path.style.stroke, path.getAttribute('d')])"))
    picture = Image.open(io.BytesIO(card.locator(".series-view").screenshot())).convert("RGB")
    # Of lines that lie on each other, the last is on top.
    on_top = np.array(re.findall(r"\d+", list(drawn)[-1]), dtype=int)
    assert (np.abs(np.asarray(picture, dtype=int) - on_top).max(axis=2) < 40).sum() > 300
    said = {}
    for row in rows.all():
        colour = row.locator(".row-circle span").evaluate("circle => circle.style.backgroundColor")
        _, name, value, step, _ = row.locator(".cell").all_inner_texts()
        said[name] = float(value)
        with (folder / name / "metrics.csv").open() as file:
            values = [float(epoch[f"{part}_{figure}"]) for epoch in csv.DictReader(file)]
        assert said[name] == pytest.approx(values[-1], abs=6e-5)
        assert int(step) == EPOCHS
        # The line in this run's colour goes through its figures, up where they go up, and within the chart.
        points = [tuple(map(float, point.split(","))) for point in re.split("[ML]", drawn.pop(colour))[1:]]
        (left, bottom), *_, (right, top) = points
        assert len(points) == EPOCHS
        assert all(0 < x < picture.width and 0 < y < picture.height for x, y in points)
        for epoch, (x, y) in enumerate(points):
            assert (x - left) / (right - left) == pytest.approx(epoch / (EPOCHS - 1), abs=1e-3)
            assert (y - bottom) / (top - bottom) == pytest.approx(
                (values[epoch] - values[0]) / (values[-1] - values[0]), abs=1e-3
            )
        assert (top < bottom) == (values[-1] > values[0])
    assert set(said) == set(MODES)
    assert not drawn


def test_custom_scalars_have_train_and_test_of_all_modes_in_one_chart(page):
    page.goto(re.sub("#.*", "#custom_scalars", page.url))
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    expect(charts).to_have_count(2)
    for chart in charts.all():
        expect(chart.locator("#matches-container")).to_contain_text(f"({2 * len(MODES)})")
