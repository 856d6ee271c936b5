"""A comparison in TensorBoard, as a browser shows it."""

import csv
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


@pytest.fixture
def page(tmp_path):
    arguments = ["--mode", "compare", "--dataset", "digits", "--epochs", str(EPOCHS), "--no-figures"]
    assert main([*arguments, "--logdir", str(tmp_path), "--run-name", "run"]) == 0
    with tensorboard(tmp_path / "run") as ask, sync_playwright() as playwright:
        last = {**dict.fromkeys(MODES, "accuracy/test"), "differences": DIFFERENCES[0]}
        wait_until(lambda: all(ask.has("scalars", tag, run) for run, tag in last.items()))
        wait_until(lambda: all(len(ask.points(run, tag)) == EPOCHS for run, tag in last.items()))
        with playwright.chromium.launch(executable_path=CHROMIUM, timeout=1000 * PATIENCE) as browser:
            page = browser.new_page(viewport={"width": 1600, "height": 1900})
            page.set_default_timeout(1000 * PATIENCE)
            # Lines that are elements of the page rather than dots on a canvas, through the figures themselves.
            page.goto(f"{ask.url}/?forceSVG=true&smoothing=0#timeseries")
            yield page


def test_a_comparison_has_a_card_for_every_figure_and_in_it_a_curve_for_every_mode(page, tmp_path):
    names = page.locator("runs-data-table tb-data-table-content-row .table-column-run")
    expect(names).to_have_text(sorted([*MODES, "differences"]))
    # TensorBoard opens the first two groups of cards.
    tags = [f"{figure}/{part}" for figure in ("accuracy", "loss") for part in ("test", "train")]
    expect(page.locator("scalar-card tb-truncated-path")).to_have_text(tags)
    page.locator("button.group-toolbar", has_text="mode differences").click()
    expect(page.locator("scalar-card tb-truncated-path")).to_have_text([*tags, *DIFFERENCES])
    for tag in tags:
        card = page.locator("scalar-card", has_text=tag)
        rows, lines = card.locator("tb-data-table-content-row"), card.locator(".series-view > svg path")
        expect(rows).to_have_count(len(MODES))
        expect(lines).to_have_count(len(MODES))
        colours = {row.locator(".row-circle span").evaluate("it => it.style.backgroundColor") for row in rows.all()}
        assert colours == set(lines.evaluate_all("paths => paths.map(path => path.style.stroke)"))
        assert len(colours) == len(MODES)
        for row in rows.all():
            _, mode, value, step, _ = row.locator(".cell").all_inner_texts()
            with (tmp_path / "run" / mode / "metrics.csv").open() as file:
                *_, last = csv.DictReader(file)
            assert float(value) == pytest.approx(float(last["_".join(tag.split("/")[::-1])]), abs=6e-5)
            assert step == str(EPOCHS)
