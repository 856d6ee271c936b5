import io
import json
import os
import re
import shutil
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from d2l_softmax import UserError, load_dataset
from d2l_softmax.commands import train
from d2l_softmax.commands.predict import main
from d2l_softmax.data import catalogue
from d2l_softmax.data.image_file import read_image
from d2l_softmax.experiment.classifier import load_classifier
from tests.idx_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, write_idx

HEIGHT, WIDTH = 4, 6


@pytest.fixture(autouse=True)
def called_as_predict(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict.py"])


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The folder of a data set of noise, whose images are not square, in 3 classes."""
    folder, random = tmp_path_factory.mktemp("own"), np.random.default_rng(3)
    for images, labels, n in ((TRAIN_IMAGES, TRAIN_LABELS, 90), (TEST_IMAGES, TEST_LABELS, 12)):
        write_idx(folder / images, random.integers(0, 256, (n, HEIGHT, WIDTH), dtype=np.uint8))
        write_idx(folder / labels, np.arange(n) % 3)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, own):
    """Runs that differ in everything that decides how an image becomes numbers."""
    resized = ["digits", "--resize", "6", "--validation", "100", "--mode", "concise"]
    raw = [own, "--pixels", "raw", "--lr", "1e-5", "--dtype", "float64"]
    settings = {"digits": ["digits"], "own": [own], "raw": raw, "resized": resized}
    always = ["--epochs", "2", "--no-figures", "--logdir", logdir := tmp_path_factory.mktemp("runs"), "--run-name"]
    for name, arguments in settings.items():
        assert train.main(list(map(str, [*always, name, "--dataset", *arguments]))) == 0
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


@pytest.mark.parametrize(("name", "scale"), [("digits", 16), ("own", 255), ("raw", 1), ("resized", 16)])
def test_predictions_are_those_of_pytorch_on_the_weights_of_the_checkpoint(tmp_path, copy, predict, name, scale):
    folder, max_value = copy(name), 16 if scale == 16 else 255
    run = load_classifier(folder)
    dataset, seen = (load_dataset(run.settings.dataset, resize=side) for side in (None, run.settings.resize))
    images, labels = seen.test_images[:10], dataset.test_labels[:10]
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    X = (images.double() / scale).to(state["W"].dtype).flatten(1)
    p = torch.nn.functional.linear(X, state["W"].T, state["b"]).softmax(dim=1)
    torch.testing.assert_close(run.probabilities(images), p, rtol=1e-5, atol=0)
    best = [[str(k), f"{row[k]:.4f}"] for row, k in zip(p, p.argmax(dim=1).tolist(), strict=True)]
    assert len({k for k, _ in best}) > 1
    # The test images of the data set, compared with the truth and drawn.
    out, title = predict(folder), f"{folder}, after epoch 2"
    right = sum(k == str(label) for (k, _), label in zip(best, labels.tolist(), strict=True))
    see = f"; see {folder / 'predicted.png'}"
    said = f"{right} of the first 10 test images of {dataset.name} right{see}"
    first, second, blank, head, *_ = out.splitlines()
    assert (first, second, blank, head) == (title, said, "", "image  true class  class  probability")
    assert rows(out) == [[str(i), str(int(labels[i])), *best[i]] for i in range(10)]
    with Image.open(folder / "predicted.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 640)
    # The same images from files.
    levels = np.round(dataset.test_images[:10, 0].numpy() * (255 / max_value))
    files = [save(image, tmp_path / f"{i}.png") for i, image in enumerate(levels)]
    for file, image in zip(files, images, strict=True):
        assert torch.equal(read_image(file, *image.shape[1:], max_value=max_value), image)
    out = predict(folder, *files)
    first, blank, head, *lines = out.splitlines()
    assert (first, blank, head.split()) == (title + see, "", ["image", "class", "probability"])
    assert rows(out) == [[str(file), *row] for file, row in zip(files, best, strict=True)]
    assert {line.index(line.split()[1], len(str(files[0]))) for line in lines} == {head.index("class")}


def edit(run, part, **changes):
    """Change the state in the checkpoint or a part of `config.json`."""
    if part == "state":
        torch.save(torch.load(run / "checkpoint.pt", weights_only=True) | changes, run / "checkpoint.pt")
    else:
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {part: config.get(part, {}) | changes}))


def test_the_data_set_may_have_moved_but_not_changed(tmp_path, own, copy, predict, monkeypatch):
    def unreachable(source, folder):
        raise catalogue.DataUnavailableError("mirror: no route")

    monkeypatch.setattr(catalogue, "_download", unreachable)
    run, data, moved = copy("own"), tmp_path / "data", tmp_path / "moved"
    shutil.copytree(own, data / "MNIST" / "raw")
    # `auto` stood for another data set when the run was started.
    edit(run, "settings", dataset="auto", data_dir=str(data))
    edit(run, "data", name="mnist")
    before = predict(run)
    data.rename(moved)
    assert predict(run, "--data-dir", moved) == before
    (run / "predicted.png").unlink()
    assert re.search("mnist is not in .*no route.*data directory", predict(run, status=2))
    write_idx(moved / "MNIST" / "raw" / TEST_LABELS, np.zeros(12))
    assert "is not the one that" in predict(run, "--data-dir", moved, status=2)
    edit(run, "settings", dataset="digits")
    assert "is not the one that" in predict(run, status=2)
    assert not (run / "predicted.png").exists()


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
    "one bit": (GREY > 127, {}, 255 * (GREY > 127), 0),
    "palette": (PALETTE, {}, GREY // 64 * 60, 0),
    "transparent palette": (PALETTE, {"transparency": 180}, np.where(GREY < 192, GREY // 64 * 60, 0), 0),
    "transparent grey": (GREY, {"transparency": 192}, np.where(GREY == 192, 0, GREY), 0),
    "colour": (COLOURS, {}, LUMA, 1),
    "colour with alpha": (np.dstack([COLOURS, ALPHA]), {}, LUMA * (ALPHA / 255), 2),
    "grey with alpha": (np.dstack([GREY, ALPHA]), {}, GREY * (ALPHA / 255), 1),
    "turned": (np.rot90(GREY).copy(), {"exif": TURNED}, GREY, 0),
}


@pytest.mark.parametrize("name", IMAGES)
def test_every_kind_of_png_becomes_the_same_grey(tmp_path, name):
    image, options, grey, off = IMAGES[name]
    path = tmp_path / "image"  # the content says what it is, not the name
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, format="PNG", **options)
    read = read_image(path, HEIGHT, WIDTH)
    assert (read.dtype, read.shape) == (torch.uint8, (1, HEIGHT, WIDTH))
    assert np.abs(read[0].numpy() - grey.astype(float)).max() <= off
    # What is transparent is white when it is inverted, and so black in either case.
    if "alpha" not in name and "transparent" not in name:
        assert torch.equal(read_image(path, HEIGHT, WIDTH, invert=True), 255 - read)
    assert torch.equal(read_image(path, HEIGHT, WIDTH, max_value=16), (read.double() * 16 / 255).round().byte())


@pytest.mark.parametrize(("kind", "mode", "off"), [("PNG", "L", 0), ("JPEG", "L", 4), ("JPEG", "CMYK", 4)])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (640, 480), (2000, 30), (1, 5000)])
def test_an_image_of_any_size_is_scaled_as_a_whole(tmp_path, kind, mode, off, size):
    image = Image.fromarray(np.outer(np.linspace(1, 15, size[1]), np.linspace(1, 16, size[0])).astype(np.uint8))
    image.convert("RGB").convert(mode).save(tmp_path / "image", kind, quality=95)
    resized = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR), dtype=int)
    assert np.abs(read_image(tmp_path / "image", HEIGHT, WIDTH)[0].numpy() - resized).max() <= off


def test_the_negative_of_an_image_inverted_is_the_image(tmp_path, runs, predict):
    run = runs["digits"]
    levels = np.round(load_dataset("digits").test_images[0, 0].numpy() * (255 / 16)).astype(np.uint8)
    plain, negative = save(levels, tmp_path / "plain.png"), save(255 - levels, tmp_path / "negative.png")
    # Dark and bright lines on a transparent background.
    dark, bright = (save(np.dstack([levels * 0 + k, levels]), tmp_path / f"{k}.png") for k in (0, 255))
    for path, invert in ((bright, False), (negative, True), (dark, True)):
        assert torch.equal(read_image(path, 8, 8, 16, invert), read_image(plain, 8, 8, 16))
    said = [rows(predict(run, *arguments))[0][1:] for arguments in ([plain], [negative, "--invert"])]
    with pytest.warns(UserWarning, match=r"light in .*negative\.png, but dark in the training images: try --invert"):
        said.append(rows(predict(run, plain, negative))[1][1:])
    assert said[0] == said[1] != said[2]
    with pytest.warns(UserWarning, match=r"light in .*plain\.png, .*: leave out --invert"):
        predict(run, plain, "--invert")


def test_a_picture_that_cannot_be_written_is_said_and_the_predictions_are_printed(copy, predict):
    run = copy("own")
    before = predict(run)
    (run / "predicted.png").unlink()
    (run / "predicted.png").mkdir()
    with pytest.warns(UserWarning, match=r"cannot write .*predicted\.png: Is a directory"):
        assert predict(run) == before.replace(f"; see {run / 'predicted.png'}", "")


def test_the_newest_run_is_taken(tmp_path, copy, predict, monkeypatch):
    save(GREY, tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    assert "no run with a checkpoint in 'runs'" in predict("image.png", status=2)
    made = [copy("own", f"runs/{name}") for name in ("old", "compare/scratch", "newest", "unfinished", "a/b/deep")]
    for i, run in enumerate(made):
        os.utime(run / "config.json", (10**9 + i, 10**9 + i))
    (made[3] / "checkpoint.pt").unlink()
    assert "no checkpoint" in predict(made[3], "image.png", status=2)
    assert predict("image.png").startswith(str(Path("runs/newest")))
    assert [row[0] for row in rows(predict("image.png", "image.png"))] == ["image.png", "image.png"]
    os.utime(made[1] / "config.json")
    assert predict().startswith(str(Path("runs/compare/scratch")))
    assert predict("--logdir", tmp_path / "runs", tmp_path / "image.png").startswith(str(made[1]))
    (made[1] / "checkpoint.pt").write_bytes((made[1] / "checkpoint.pt").read_bytes()[:-100])
    # A damaged run is not passed over in favour of another.
    assert str(Path("runs/compare/scratch/checkpoint")) in predict("image.png", status=2)


def encoded(kind, array=GREY):
    Image.fromarray(array).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


NOISE = np.random.default_rng(4).integers(0, 256, (40, 40)).astype(np.uint8)
PNG = encoded("PNG", NOISE)


def png_of_size(width, height):
    """The same PNG with another size in its header."""
    header = b"IHDR" + struct.pack(">II", width, height) + PNG[24:29]
    return PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


BAD_IMAGES = {
    "empty": b"",
    "another format": encoded("GIF"),
    "truncated JPEG": encoded("JPEG", NOISE)[:-300],
    "flipped bit": PNG[:700] + bytes([PNG[700] ^ 0x10]) + PNG[701:],
    "too few pixels": png_of_size(41, 41),
    "size zero": png_of_size(0, 40),
} | {f"the first {n} bytes of a PNG": PNG[:n] for n in (100, len(PNG) - 12, len(PNG) - 5)}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_among_good_ones_is_named_and_nothing_is_printed(tmp_path, runs, predict, name):
    good, bad = save(GREY, tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(BAD_IMAGES[name])
    assert re.search(f"(cannot read )?{re.escape(str(bad))}", predict(runs["own"], good, bad, good, status=2))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([b"", PNG[:33], PNG, encoded("JPEG")]), st.binary(max_size=200), st.integers(0, 400))
def test_whatever_the_bytes_an_image_is_read_or_refused(start, noise, at):
    """Noise alone, after a good beginning, or over a part of a good file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(start[:at] + noise + start[at + len(noise) :])
        try:
            assert read_image(path, HEIGHT, WIDTH).shape == (1, HEIGHT, WIDTH)
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert " ".join(str(error).splitlines()).isprintable()  # noqa: PT017


# What is asked, and what the error must mention.
MISTAKES = {
    "no such image": ("run missing.png", "missing.png"),
    "a folder for an image": ("run run", "cannot read run"),
    "--invert without images": ("run --invert", "--invert"),
    "--data-dir with images": ("run good.png --data-dir .", "--data-dir"),
    "--logdir with a run": ("run --logdir .", "--logdir"),
    "abbreviated option": ("run --inv good.png", "--inv"),
    "no such run": ("missing good.png", "no run or image 'missing'"),
    "a name that is too long": (f"{'x' * 1000} good.png", f"no run or image '{'x' * 1000}'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_written(tmp_path, copy, predict, monkeypatch, name):
    copy("own")
    save(GREY, tmp_path / "good.png")
    monkeypatch.chdir(tmp_path)
    before, (arguments, word) = sorted(tmp_path.rglob("*")), MISTAKES[name]
    assert word in predict(*arguments.split(), status=2)
    assert sorted(tmp_path.rglob("*")) == before


# What is changed in the run of 4×6 pixels and 3 classes, and what the error must mention.
W = torch.zeros(24, 3)
SPOILT = {
    "other biases": ("state", {"b": torch.zeros(4)}, "not of one run"),
    "transposed weights": ("state", {"W": W.T.contiguous()}, "not of one run"),
    "weights of another type": ("state", {"W": W.double()}, "not of one run"),
    "infinite weights": ("state", {"W": W / 0}, "diverged"),
    "another image size": ("data", {"height": 28, "width": 28}, "not of one run"),
    "fewer classes": ("data", {"classes": ["a", "b"]}, "not of one run"),
    "a comparison": ("members", {"scratch": {}, "manual": {}}, "name one of them, scratch, manual"),
    "an unknown setting": ("settings", {"magic": 1}, "config.json"),
    "a setting of another type": ("settings", {"dataset": 5}, "config.json"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_run_is_refused(tmp_path, copy, predict, name):
    run, (part, changes, word) = copy("own"), SPOILT[name]
    edit(run, part, **changes)
    assert word in predict(run, save(GREY, tmp_path / "image.png"), status=2)
