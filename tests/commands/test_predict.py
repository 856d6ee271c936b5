import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from d2l_softmax import load_dataset
from d2l_softmax.commands.predict import main
from d2l_softmax.data.files import read_image
from d2l_softmax.experiment.classifier import load_classifier
from tests.idx_files import STEMS, write_idx
from tests.runs import checkpoint, train

SIZE = HEIGHT, WIDTH = 4, 6


@pytest.fixture(autouse=True)
def called_as_predict(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict.py"])


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The folder of a data set of noise, whose images are not square, in 3 classes."""
    folder, random = tmp_path_factory.mktemp("own"), np.random.default_rng(3)
    for images, labels, n in ((STEMS[0], STEMS[1], 90), (STEMS[2], STEMS[3], 12)):
        write_idx(folder / images, random.integers(0, 256, (n, HEIGHT, WIDTH), dtype=np.uint8))
        write_idx(folder / labels, np.arange(n) % 3)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, own):
    """Runs that differ in everything that decides how an image becomes numbers."""
    settings = {
        "own": [own],
        "raw": [own, "--pixels", "raw", "--lr", "1e-5", "--dtype", "float64"],
        "resized": ["digits", "--resize", "6", "--validation", "100", "--mode", "concise"],
    }
    logdir = tmp_path_factory.mktemp("runs")
    for name, arguments in settings.items():
        assert train(logdir, name, "--dataset", *arguments) == 0
    return {name: logdir / name for name in settings}


@pytest.fixture
def copy(tmp_path, runs):
    """A function that copies a run, so that a test may change it."""
    return lambda name, to="run": Path(shutil.copytree(runs[name], tmp_path / to))


@pytest.fixture
def predict(capsys):
    """A function that runs the command and returns its output or, for status 2, its error, which is all it prints."""

    def predict(*arguments, status=0):
        capsys.readouterr()  # the output of training
        assert main(list(map(str, arguments))) == status
        out, err = capsys.readouterr()
        assert (err if status == 0 else out) == ""
        assert status == 0 or re.fullmatch(r"predict\.py: error: .*\n", err)
        return err or out

    return predict


def save(array, path):
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)
    return path


def rows(out):
    """The cells of the printed table, without its heading."""
    return [line.split() for line in out.split("\n\n")[1].splitlines()[1:]]


@pytest.mark.parametrize(("name", "scale"), [("own", 255), ("raw", 1), ("resized", 16)])
def test_predictions_are_those_of_pytorch_on_the_weights_of_the_checkpoint(tmp_path, copy, predict, name, scale):
    folder, max_value = copy(name), 16 if name == "resized" else 255
    run = load_classifier(folder)
    dataset, seen = (load_dataset(run.settings.dataset, resize=side) for side in (None, run.settings.resize))
    images, labels = seen.test_images[:10], dataset.test_labels[:10]
    state = checkpoint(folder)
    X = (images.double() / scale).to(state["W"].dtype).flatten(1)
    p = torch.nn.functional.linear(X, state["W"].T, state["b"]).softmax(dim=1)
    best = [[str(k), f"{row[k]:.4f}"] for row, k in zip(p, p.argmax(dim=1).tolist(), strict=True)]
    assert len({k for k, _ in best}) > 1
    # The test images of the data set, compared with the truth and drawn.
    title, see = f"{folder}, after epoch 2", f"; see {folder / 'predicted.png'}"
    right = sum(k == str(label) for (k, _), label in zip(best, labels.tolist(), strict=True))
    out = predict(folder)
    assert out.startswith(f"{title}\n{right} of the first 10 test images of {dataset.name} right{see}\n\nimage  ")
    assert rows(out) == [[str(i), str(int(labels[i])), *best[i]] for i in range(10)]
    with Image.open(folder / "predicted.png") as picture:
        assert picture.format == "PNG"
    # The same images from files.
    levels = np.round(dataset.test_images[:10, 0].numpy() * (255 / max_value))
    files = [save(image, tmp_path / f"{i}.png") for i, image in enumerate(levels)]
    out = predict(folder, *files)
    assert out.startswith(f"{title}{see}\n\nimage ")
    assert rows(out) == [[str(file), *row] for file, row in zip(files, best, strict=True)]


def edit(run, part, **changes):
    """Change the state in the checkpoint or a part of `config.json`."""
    if part == "state":
        torch.save(checkpoint(run) | changes, run / "checkpoint.pt")
    else:
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {part: config.get(part, {}) | changes}))


def test_the_data_set_may_have_moved_but_not_changed(tmp_path, own, copy, predict):
    run, moved = copy("own"), tmp_path / "moved"
    before = rows(predict(run))
    edit(run, "settings", dataset=str(tmp_path / "gone"))
    assert re.search("no folder .*gone: .*--data-dir", predict(run, status=2))
    assert rows(predict(run, "--data-dir", own)) == before
    # Of a published data set, the folder of all of them is named.
    shutil.copytree(own, moved / "MNIST" / "raw")
    edit(run, "settings", dataset="mnist")
    assert rows(predict(run, "--data-dir", moved)) == before
    write_idx(moved / "MNIST" / "raw" / STEMS[3], np.arange(12) % 2)
    assert "is not the one that" in predict(run, "--data-dir", moved, status=2)


COLOURS = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
GREY, ALPHA = COLOURS[..., 0], COLOURS[..., 1]
LUMA = COLOURS @ [0.299, 0.587, 0.114]  # ITU-R BT.601
PALETTE = Image.fromarray(GREY // 64 * 60).convert("P")
TURNED = Image.Exif()
TURNED[0x0112] = 6

# Name: the image, how it is saved, what is to be read, and by how many levels that may be off.
IMAGES = {
    "grey": (GREY, {}, GREY, 0),
    "16 bits": (GREY.astype(np.uint16) * 256 + 200, {}, GREY, 0),
    "8 bits in 16": (GREY.astype(np.uint16), {}, GREY, 0),
    "transparent palette": (PALETTE, {"transparency": 180}, np.where(GREY < 192, GREY // 64 * 60, 0), 0),
    "colour": (COLOURS, {}, LUMA, 1),
    "colour with alpha": (np.dstack([COLOURS, ALPHA]), {}, LUMA * (ALPHA / 255), 2),
    "black on nothing": (np.dstack([GREY * 0, ALPHA]), {}, 255 - ALPHA, 0),
    "white on nothing": (np.dstack([GREY * 0 + 255, ALPHA]), {}, ALPHA, 0),
    "turned": (np.rot90(GREY).copy(), {"exif": TURNED}, GREY, 0),
}


@pytest.mark.parametrize("name", IMAGES)
def test_every_kind_of_image_becomes_the_same_grey(tmp_path, name):
    image, options, grey, off = IMAGES[name]
    path = tmp_path / "image"  # the content says what it is, not the name
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, format="PNG", **options)
    read = read_image(path, SIZE)
    assert (read.dtype, read.shape) == (torch.uint8, (1, HEIGHT, WIDTH))
    assert np.abs(read[0].numpy() - grey.astype(float)).max() <= off
    if "transparent" not in name and "alpha" not in name:  # what is transparent becomes white where it is inverted
        assert torch.equal(read_image(path, SIZE, invert=True), 255 - read)
    assert torch.equal(read_image(path, SIZE, max_value=16), (read.double() * 16 / 255).round().byte())


INK = np.zeros((8, 8), dtype=int)
INK[2:6, 3:5] = 1
# Paper and ink of an image, the border of the training images, whether with --invert, and what is advised.
LOOKS = [
    (255, 0, 0, False, "light .*image.png, but dark .*: try --invert"),
    (120, 20, 0, False, "light .*: try --invert"),
    (120, 20, 0, True, None),
    (0, 255, 0, True, "light .*: leave out --invert"),
    (140, 250, 0, False, None),
    (0, 255, 240, False, "dark .*image.png, but light .*: try --invert"),
    (255, 0, 120, False, None),
    (70, 70, 0, False, "all pixels are alike in .*image.png"),
]


@pytest.mark.parametrize(("paper", "ink", "border", "invert", "said"), LOOKS)
def test_a_background_unlike_that_of_the_training_images_and_blank_images_are_said(
    tmp_path, copy, predict, recwarn, paper, ink, border, invert, said
):
    run, image = copy("own"), save(paper + (ink - paper) * INK, tmp_path / "image.png")
    edit(run, "data", name="mnist", border=border)
    recwarn.clear()
    predict(run, image, *["--invert"] * invert)
    assert [bool(re.search(said or "", str(warning.message))) for warning in recwarn] == [True] * bool(said)


def test_a_folder_of_images(tmp_path, runs, predict):
    (tmp_path / "images").mkdir()
    assert re.search("no image in .*images: it has nothing", predict(runs["own"], tmp_path / "images", status=2))
    names = ["b.PNG", os.fsdecode(b"caf\xe9.png"), "10.png", ".hidden.png", "notes.txt"]
    images = [save(GREY, tmp_path / "images" / name) if "png" in name.lower() else name for name in names]
    (tmp_path / "images" / "notes.txt").write_text("no image")
    out = predict(runs["own"], tmp_path / "images", images[0])
    assert [Path(row[0]).name for row in rows(out)] == ["10.png", "b.PNG", "caf\\udce9.png", "b.PNG"]
    assert len({tuple(row[1:]) for row in rows(out)}) == 1


def test_a_run_without_a_checkpoint_is_refused(tmp_path, copy, predict, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = copy("own")
    (run / "checkpoint.pt").unlink()
    assert f"{run} has no checkpoint" in predict(f"~/{run.relative_to(tmp_path)}", status=2)


@pytest.mark.parametrize(
    "spoil", [lambda _: b"", lambda _: b"<html>", lambda png: png[:-30], lambda png: png.replace(b"IDAT", b"IDAT\1")]
)
def test_a_bad_image_among_good_ones_is_named_and_nothing_is_printed(tmp_path, runs, predict, spoil):
    good, bad = save(COLOURS, tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(spoil(good.read_bytes()))
    assert str(bad) in predict(runs["own"], good, bad, good, status=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run missing.png", "cannot read missing.png: No such file"),
        ("run --invert", "--invert is for images"),
        ("run good.png --data-dir .", "--data-dir is for the test images"),
        ("", "required: RUN (see"),
        ("missing good.png", "no such run: missing"),
        ("good.png", "no such run: good.png"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(tmp_path, copy, predict, monkeypatch, arguments, said):
    copy("own")
    save(GREY, tmp_path / "good.png")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert said in predict(*arguments.split(), status=2)
    assert sorted(tmp_path.rglob("*")) == before


W = torch.zeros(24, 3)  # of the run's shape


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("state", {"W": W.T.contiguous()}, "not of one run"),
        ("state", {"identity": {"data": "others"}}, "not of one run"),
        ("state", {"W": W / 0}, "diverged"),
        ("data", {"classes": ["a", "b"]}, "not of one run"),
        ("members", {"scratch": {}, "manual": {}}, "name one of them (scratch, manual)"),
    ],
)
def test_a_spoilt_run_is_refused(tmp_path, copy, predict, part, changes, said):
    run = copy("own")
    edit(run, part, **changes)
    assert said in predict(run, save(GREY, tmp_path / "image.png"), status=2)
