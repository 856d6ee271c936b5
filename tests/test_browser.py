"""A comparison in TensorBoard, as a browser shows it."""

import csv
import re
import shutil

import pytest
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


@pytest.mark.parametrize("name", ["train_loss", "test_accuracy"])
def test_every_mode_has_its_curve(page, folder, name):
    card = page.locator("scalar-card", has_text="/".join(name.split("_")[::-1]))
    rows, lines = card.locator("tb-data-table-content-row"), card.locator(".series-view > svg path")
    expect(rows).to_have_count(len(MODES))
    expect(lines).to_have_count(len(MODES))
    # Lines that coincide are drawn in the colours of all modes.
    colours = {row.locator(".row-circle span").evaluate("it => it.style.backgroundColor") for row in rows.all()}
    assert colours == set(lines.evaluate_all("paths => paths.map(path => path.style.stroke)"))
    assert len(colours) == len(MODES)
    for row in rows.all():
        _, mode, value, step, _ = row.locator(".cell").all_inner_texts()
        with (folder / mode / "metrics.csv").open() as file:
            *_, last = csv.DictReader(file)
        assert (float(value), step) == (pytest.approx(float(last[name]), abs=6e-5), str(EPOCHS))


def test_custom_scalars_have_train_and_test_of_all_modes_in_one_chart(page):
    page.goto(re.sub("#.*", "#custom_scalars", page.url))
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    expect(charts).to_have_count(2)
    for chart in charts.all():
        expect(chart.locator("#matches-container")).to_contain_text(f"({2 * len(MODES)})")
