import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, snapshot, write_idx
from PIL import Image
from torch.nn import functional as F

from d2l_softmax import UserError, cli, data, load_dataset
from d2l_softmax.predict import load_classifier, main, newest_run, read_image
from tests.processes import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 4, 6


def train(logdir, name, *arguments):
    always = ["--epochs", "2", "--no-figures", "--logdir", str(logdir), "--run-name", name]
    assert cli.main([*always, *map(str, arguments)]) == 0
    return logdir / name


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """A data set of images that are not square, in 3 classes, each brighter in its own third."""
    folder = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(3)
    arrays = {}
    for images, labels, n in ((TRAIN_IMAGES, TRAIN_LABELS, 90), (TEST_IMAGES, TEST_LABELS, 12)):
        arrays[labels] = (np.arange(n) % 3).astype(np.uint8)
        arrays[images] = random.integers(0, 150, (n, HEIGHT, WIDTH), dtype=np.uint8)
        for image, k in zip(arrays[images], arrays[labels], strict=True):
            image[:, 2 * k : 2 * k + 2] += 100
    for stem, array in arrays.items():
        write_idx(folder / stem, array)
    return folder, arrays


@pytest.fixture(scope="module")
def runs(tmp_path_factory, arrays):
    """Runs that differ in everything that decides how an image becomes numbers."""
    logdir, folder = tmp_path_factory.mktemp("runs"), arrays[0]
    return {
        "digits": train(logdir, "digits", "--dataset", "digits"),
        "own": train(logdir, "own", "--dataset", folder),
        "raw": train(logdir, "raw", "--dataset", folder, "--pixels", "raw", "--lr", "1e-5", "--dtype", "float64"),
        "resized": train(
            logdir, "resized", "--dataset", "digits", "--resize", "6", "--validation", "100", "--mode", "concise"
        ),
    }


@pytest.fixture
def copy(tmp_path, runs):
    """A function that copies a run, so that it can be spoilt."""
    return lambda name, to="run": Path(shutil.copytree(runs[name], tmp_path / to))


@pytest.fixture
def ask(capsys):
    """A function that runs the command with success and returns what it says."""

    def ask(*arguments):
        capsys.readouterr()  # what training has said
        assert main(list(map(str, arguments))) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out) if "--json" in arguments else out

    return ask


@pytest.fixture
def refused(capsys):
    """A function that runs the command, which must say in one line what is wrong and nothing else."""

    def refused(*arguments):
        capsys.readouterr()
        assert main(list(map(str, arguments))) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert err.startswith("predict: error: ")
        return err

    return refused


def save(array, path, **options):
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path, **options)
    return path


def png_of(image, path, white=255):
    """A PNG whose intensities, from 0 to 1, are those of a data set's image (1, height, width)."""
    return save(np.round(image[0].numpy() * (255 / white)), path)


def expected(run, X):
    """Classes and probabilities for X (n, features), by PyTorch's own functions."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    probabilities = F.softmax(F.linear(X.to(state["W"].dtype), state["W"].T, state["b"]), dim=1)
    return probabilities.argmax(dim=1).tolist(), probabilities


@pytest.mark.parametrize(("name", "scale"), [("own", 255), ("raw", 1)])
def test_predictions_are_those_of_pytorch_on_the_weights_of_the_checkpoint(tmp_path, runs, arrays, ask, name, scale):
    images = arrays[1][TEST_IMAGES]
    files = [save(image, tmp_path / f"{i}.png") for i, image in enumerate(images)]
    X = torch.from_numpy(images.reshape(12, -1).astype(np.float64) / scale)
    classes, probabilities = expected(runs[name], X)
    assert len(set(classes)) > 1

    document = ask(runs[name], *files, "--json")
    assert document.keys() == {"run", "checkpoint", "epoch", "predictions"}
    assert document["run"] == str(runs[name])
    assert document["epoch"] == 2
    for one, file, k, row in zip(document["predictions"], files, classes, probabilities, strict=True):
        assert list(one) == ["image", "class", "probability", "probabilities"]
        assert one["image"] == str(file)
        assert one["class"] == str(k)
        assert one["probability"] == one["probabilities"][str(k)] == pytest.approx(row[k].item(), rel=1e-5)
        assert list(one["probabilities"]) == ["0", "1", "2"]
        assert list(one["probabilities"].values()) == pytest.approx(row.tolist(), rel=1e-5)
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-6)

    title, blank, head, *lines = ask(runs[name], *files).splitlines()
    assert str(runs[name]) in title
    assert "epoch 2" in title
    assert blank == ""
    assert head.split() == ["image", "class", "probability"]
    rows = zip(files, classes, probabilities, strict=True)
    assert [line.split() for line in lines] == [[str(f), str(k), f"{row[k]:.4f}"] for f, k, row in rows]
    assert {line.index(line.split()[1], len(str(files[0]))) for line in lines} == {head.index("class")}


@pytest.mark.parametrize("name", ["digits", "own", "raw", "resized"])
def test_a_test_image_from_a_file_is_predicted_exactly_as_from_the_data_set(tmp_path, runs, ask, name):
    run = load_classifier(runs[name])
    dataset = load_dataset(run.settings.dataset)
    if name == "resized":
        resized = load_dataset("digits", resize=6)
    files = []
    for i, image in enumerate(dataset.test_images[:12]):
        files.append(png_of(image, tmp_path / f"{i}.png", dataset.white))
        read = read_image(files[-1], run.height, run.width, run.white)
        assert torch.equal(read, (resized if name == "resized" else dataset).test_images[i])
    from_files = ask(runs[name], *files, "--json")["predictions"]
    from_data = ask(runs[name], "--count", 12, "--figure", tmp_path / "f.png", "--json")["predictions"]
    assert [one["image"] for one in from_data] == list(range(12))
    assert [one["true_class"] for one in from_data] == list(map(str, dataset.test_labels[:12].tolist()))
    for one, other in zip(from_files, from_data, strict=True):
        assert one["probabilities"] == other["probabilities"]
        assert one["class"] == other["class"]


def test_test_images_are_compared_with_the_truth_and_drawn(tmp_path, runs, copy, ask):
    run = copy("digits")
    out = ask(run)
    _, said, blank, head, *lines = out.splitlines()
    dataset = load_dataset("digits")
    X = dataset.test_images[:10].flatten(1) / 16
    classes, probabilities = expected(run, X)
    labels = dataset.test_labels[:10].tolist()
    right = sum(k == label for k, label in zip(classes, labels, strict=True))
    assert 0 < right < 10
    assert said.startswith(f"{right} of the first 10 test images of digits right")
    assert said.endswith(str(run / "predicted.png"))
    assert (blank, head.split()) == ("", ["image", "true", "class", "class", "probability"])
    figures = [f"{row[k]:.4f}" for row, k in zip(probabilities, classes, strict=True)]
    assert [line.split() for line in lines] == [
        [str(i), str(labels[i]), str(classes[i]), figures[i]] for i in range(10)
    ]
    with Image.open(run / "predicted.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100
    document = ask(run, "--json", "--count", 360, "--figure", tmp_path / "other.PNG")
    assert document["figure"] == str(tmp_path / "other.PNG")
    assert Path(document["figure"]).exists()
    assert len(document["predictions"]) == 360


def test_the_data_set_may_have_moved(tmp_path, arrays, ask, refused, monkeypatch):
    def unreachable(name, md5, mirrors, folder):
        raise data.DownloadError("mirror: no route")

    monkeypatch.setattr(data, "download", unreachable)
    shutil.copytree(arrays[0], tmp_path / "data" / "MNIST" / "raw")
    run = train(tmp_path, "run", "--dataset", "mnist", "--data-dir", tmp_path / "data")
    edit(run, "settings", dataset="auto")  # which stood for another data set when that was chosen
    before = ask(run, "--json")
    (tmp_path / "data").rename(tmp_path / "moved")
    (run / "predicted.png").unlink()
    assert re.search("mnist is not in .*no route.*--data-dir", refused(run))
    assert not (run / "predicted.png").exists()
    assert ask(run, "--data-dir", tmp_path / "moved", "--json") == before


def edit(run, part, **changes):
    """Change what `config.json` says; None removes it."""
    config = json.loads((run / "config.json").read_text())
    config[part] |= changes
    config[part] = {name: value for name, value in config[part].items() if value is not None}
    (run / "config.json").write_text(json.dumps(config))
    return run


COLOURS = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
GREY, ALPHA = COLOURS[..., 0], COLOURS[..., 1]
KEY = int(GREY[1, 1])
LUMA = COLOURS @ [0.299, 0.587, 0.114]  # ITU-R BT.601


def image_of(array, mode=None):
    """A PIL image; with a mode, of the bands that lie along the last axis of the array."""
    if mode is None:
        return Image.fromarray(array)
    return Image.merge(mode, [Image.fromarray(band) for band in np.moveaxis(array, -1, 0)])


def palette_image():
    """Four shades of grey by number."""
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putpalette([60 * (k // 3) for k in range(12)])
    image.putdata((GREY // 64).ravel().tolist())
    return image


def orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


# Name: the image, how it is saved, what is to be read, and by how many levels that may be off.
IMAGES = {
    "grey": (image_of(GREY), {}, GREY, 0),
    "16 bits": (image_of(GREY.astype(np.uint16) * 257), {}, GREY, 0),
    "16 bits, other low byte": (image_of(GREY.astype(np.uint16) * 256 + 200), {}, GREY, 0),
    "one bit": (image_of(GREY > 127), {}, 255 * (GREY > 127), 0),
    "palette": (palette_image(), {}, GREY // 64 * 60, 0),
    "transparent palette": (palette_image(), {"transparency": 3}, np.where(GREY < 192, GREY // 64 * 60, 0), 0),
    "transparent grey": (image_of(GREY), {"transparency": KEY}, np.where(GREY == KEY, 0, GREY), 0),
    "colour": (image_of(COLOURS, "RGB"), {}, LUMA, 1),
    "colour with alpha": (image_of(np.dstack([COLOURS, ALPHA]), "RGBA"), {}, LUMA * (ALPHA / 255), 2),
    "grey with alpha": (image_of(np.dstack([GREY, ALPHA]), "LA"), {}, GREY * (ALPHA / 255), 1),
    "turned": (image_of(np.rot90(GREY).copy()), {"exif": orientation(6)}, GREY, 0),
}


@pytest.mark.parametrize("name", IMAGES)
def test_every_kind_of_png_becomes_the_same_grey(tmp_path, name):
    image, options, grey, off = IMAGES[name]
    path = tmp_path / "image"  # the content says what it is, not the name
    image.save(path, format="PNG", **options)
    read = read_image(path, HEIGHT, WIDTH)
    assert (read.dtype, read.shape) == (torch.uint8, (1, HEIGHT, WIDTH))
    assert np.abs(read[0].numpy() - grey.astype(float)).max() <= off
    # On white paper, the negative of what is transparent is transparent, too.
    if "alpha" not in name and "transparent" not in name:
        assert torch.equal(read_image(path, HEIGHT, WIDTH, invert=True), 255 - read)
    white = read_image(path, HEIGHT, WIDTH, white=16)
    assert torch.equal(white, (read.double() * 16 / 255).round().byte())


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_is_read_within_what_its_compression_loses(tmp_path, mode):
    smooth = np.linspace(20, 220, 64 * 64).reshape(64, 64)
    Image.fromarray(smooth.astype(np.uint8)).convert("RGB").convert(mode).save(tmp_path / "image.jpg", quality=95)
    read = read_image(tmp_path / "image.jpg", 64, 64)
    assert np.abs(read[0].numpy() - smooth).max() < 5


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (640, 480), (2000, 30), (1, 5000)])
def test_an_image_of_any_size_is_scaled_as_a_whole(tmp_path, size):
    image = Image.effect_noise(size, 80)
    image.save(tmp_path / "image.png")
    read = read_image(tmp_path / "image.png", HEIGHT, WIDTH)
    assert np.array_equal(read[0].numpy(), np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)))


@pytest.mark.parametrize("name", ["digits", "own"])
def test_the_negative_of_an_image_inverted_is_predicted_as_the_image(tmp_path, runs, ask, name):
    run = load_classifier(runs[name])
    image = load_dataset(run.settings.dataset).test_images[0]
    path = png_of(image, tmp_path / "image.png", run.white)
    levels = np.asarray(Image.open(path))
    negative = save(255 - levels, tmp_path / "negative.png")
    # Ink on nothing: a drawing whose background is transparent, dark or light.
    ink = Image.merge("LA", [Image.new("L", levels.shape[::-1], 0), Image.fromarray(levels)])
    ink.save(tmp_path / "ink.png")
    chalk = Image.merge("LA", [Image.new("L", levels.shape[::-1], 255), Image.fromarray(levels)])
    chalk.save(tmp_path / "chalk.png")

    plain = ask(runs[name], path, tmp_path / "chalk.png", "--json")["predictions"]
    inverted = ask(runs[name], negative, "--invert", tmp_path / "ink.png", "--json")["predictions"]
    for one in (plain[1], *inverted):
        assert one["probabilities"] == plain[0]["probabilities"]
    upside_down = ask(runs[name], negative, tmp_path / "chalk.png", "--json")["predictions"]
    assert upside_down[0]["probabilities"] != plain[0]["probabilities"]


def test_the_newest_run_that_can_be_used_is_taken_where_none_is_named(tmp_path, copy, ask, monkeypatch, refused):
    image = save(GREY, tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    assert "no run with a checkpoint in 'runs'" in refused(image)
    made = [copy("own", f"runs/{name}") for name in ("old", "compare/scratch", "newest", "unfinished", "a/b/deep")]
    for i, run in enumerate(made):
        os.utime(run / "config.json", (10**9 + i, 10**9 + i))
    for name in ("checkpoint.pt", "checkpoint-previous.pt", "best.pt"):
        (made[3] / name).unlink()
    monkeypatch.chdir(tmp_path)
    assert newest_run(Path("runs")) == Path("runs/newest")
    assert ask("image.png").startswith(str(Path("runs/newest")))
    document = ask("image.png", "image.png", "--json")
    assert document["run"] == str(Path("runs/newest"))
    assert [one["image"] for one in document["predictions"]] == ["image.png", "image.png"]
    os.utime(made[1] / "config.json")
    assert ask().startswith(str(Path("runs/compare/scratch")))
    assert (made[1] / "predicted.png").exists()
    assert ask("--logdir", tmp_path / "runs", image).startswith(str(made[1]))
    # A damaged one is not passed over in favour of another.
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        (made[1] / name).write_bytes(b"")
    assert str(Path("runs/compare/scratch/checkpoint")) in refused("image.png")


def test_the_last_good_checkpoint_is_used_and_named(tmp_path, copy, ask, capsys):
    run, image = copy("own"), save(GREY, tmp_path / "image.png")
    (run / "checkpoint.pt").write_bytes((run / "checkpoint.pt").read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"checkpoint\.pt is damaged.*checkpoint-previous\.pt, after epoch 1"):
        out = ask(run, image)
    assert "after epoch 1 (checkpoint-previous.pt)" in out
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        (run / name).unlink()
    assert "after epoch 2 (best.pt)" in ask(run, image)


def header_of_png(width, height):
    """A PNG as far as its size; nothing else has to be read to refuse it."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def encoded(kind, array=GREY):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


NOISE = np.random.default_rng(4).integers(0, 256, (40, 40)).astype(np.uint8)
BAD_IMAGES = {
    "empty": (b"", "not a PNG or JPEG"),
    "text": (b"a shoe", "not a PNG or JPEG"),
    "another format": (encoded("GIF"), "not a PNG or JPEG"),
    "truncated PNG": (encoded("PNG", NOISE)[:-300], "damaged"),
    "PNG without its end": (encoded("PNG", NOISE)[:-12], "damaged"),
    "truncated JPEG": (encoded("JPEG", NOISE)[:-300], "damaged"),
    "flipped bit": (flipped(encoded("PNG", NOISE), 700), "damaged"),
    "no pixels": (header_of_png(4, 4), "damaged"),
    "size zero": (header_of_png(0, 4), "not a PNG or JPEG"),
    "very large": (header_of_png(10_000, 10_000), "pixels"),
    "bomb": (header_of_png(2**31 - 1, 2**31 - 1), "pixels"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_among_good_ones_is_named_and_nothing_is_printed(tmp_path, runs, refused, name):
    good, bad = save(GREY, tmp_path / "good.png"), tmp_path / "bad.png"
    content, word = BAD_IMAGES[name]
    bad.write_bytes(content)
    err = refused(runs["own"], good, bad, good)
    assert str(bad) in err
    assert word in err


def test_no_part_of_a_png_is_taken_for_the_whole(tmp_path):
    whole, path = encoded("PNG"), tmp_path / "image.png"
    for length in range(len(whole) - 4):  # the end is there; its checksum is of no content
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"image\.png"):
            read_image(path, HEIGHT, WIDTH)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", header_of_png(4, 4)[:33], encoded("PNG"), encoded("JPEG")]),
    st.binary(max_size=200),
    st.integers(0, 400),
)
def test_whatever_the_bytes_an_image_is_read_or_refused(start, noise, at):
    """Noise alone, after a good beginning, or over a part of a good file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(start[:at] + noise + start[at + len(noise) :])
        try:
            read = read_image(path, HEIGHT, WIDTH)
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017
        else:
            assert read.shape == (1, HEIGHT, WIDTH)


# What is asked after the run, and what the error must mention.
CONTRADICTIONS = {
    "no such image": ("missing.png", "missing.png"),
    "a folder for an image": ("folder", "folder"),
    "a second run": ("run", "run"),
    "count 0": ("--count 0", "--count"),
    "count negative": ("--count -3", "--count"),
    "count in words": ("--count ten", "--count"),
    "more than there are": ("--count 13", "12 test images"),
    "count with images": ("--count 3 good.png", "--count"),
    "figure with images": ("--figure x.png good.png", "--figure"),
    "data folder with images": ("--data-dir x good.png", "--data-dir"),
    "invert without images": ("--invert", "--invert"),
    "logdir with a run": ("--logdir . good.png", "--logdir"),
    "figure of another kind": ("--figure run/checkpoint.pt", "--figure"),
    "figure nowhere": ("--figure missing/x.png", "missing/x.png"),
    "figure in place of a folder": ("--figure folder.png", "folder.png"),
    "unknown option": ("--quiet", "--quiet"),
    "abbreviated option": ("--inv good.png", "--inv"),
    "missing value": ("--count", "--count"),
}


def contents(folder):
    return {path: content for path, (_, content) in snapshot(folder).items()}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_cannot_be_meant_is_refused(tmp_path, copy, refused, monkeypatch, name):
    copy("own")
    save(GREY, tmp_path / "good.png")
    for folder in ("folder", "folder.png"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    arguments, word = CONTRADICTIONS[name]
    assert word in refused("run", *arguments.split())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("first", ["missing", "runs/missing", "missing.png", "x" * 1000])
def test_a_first_name_that_is_nothing_is_an_error(tmp_path, copy, refused, monkeypatch, first):
    copy("own", "runs/own")
    save(GREY, tmp_path / "good.png")
    monkeypatch.chdir(tmp_path)
    assert f"no run or image '{first}'" in refused(first, "good.png")


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def rewrite(**changes):
    """A function that changes what a checkpoint holds."""

    def spoil(run):
        state = torch.load(run / "checkpoint.pt", weights_only=True)
        for name, change in changes.items():
            state[name] = change(state[name]) if callable(change) else change
        torch.save(state, run / "checkpoint.pt")

    return spoil


def with_content(change):
    """A function that changes the bytes of a checkpoint."""

    def spoil(run):
        path = run / "checkpoint.pt"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def configured(part, **changes):
    return lambda run: edit(run, part, **changes)


def with_config(content):
    return lambda run: (run / "config.json").write_bytes(content)


# What is done to the run of 4×6 pixels and 3 classes, and what the error must mention.
SPOILT = {
    "no config": (lambda run: (run / "config.json").unlink(), "config.json"),
    "no checkpoint": (lambda run: (run / "checkpoint.pt").unlink(), "no checkpoint"),
    "truncated checkpoint": (with_content(lambda content: content[: len(content) // 2]), "checkpoint.pt"),
    "empty checkpoint": (with_content(lambda content: b""), "checkpoint.pt"),
    "a pickle": (with_content(lambda content: pickle.dumps({"W": 1})), "checkpoint.pt"),
    "a foreign tensor": (lambda run: torch.save(torch.zeros(3), run / "checkpoint.pt"), "checkpoint.pt"),
    "a foreign state": (lambda run: torch.save({"W": torch.zeros(3)}, run / "checkpoint.pt"), "checkpoint.pt"),
    "other weights": (rewrite(W=torch.zeros(64, 10), b=torch.zeros(10)), "(64, 10)"),
    "other biases": (rewrite(b=torch.zeros(4)), "(4,)"),
    "transposed weights": (rewrite(W=lambda W: W.T.contiguous()), "(3, 24)"),
    "weights of another type": (rewrite(W=torch.Tensor.double), "float64"),
    "whole weights": (rewrite(W=torch.Tensor.long), "int64"),
    "sparse weights": (rewrite(W=torch.Tensor.to_sparse), "checkpoint.pt"),
    "weights without values": (rewrite(W=lambda W: W.to("meta")), "checkpoint.pt"),
    "one weight for all": (rewrite(W=torch.zeros(1, 1).expand(24, 3)), "checkpoint.pt"),
    "infinite weights": (rewrite(W=lambda W: W / 0), "diverged"),
    "huge weights": (rewrite(W=lambda W: W * 1e38 * 1e38), "diverged"),
    "text for a config": (with_config(b"a shoe"), "config.json"),
    "a list for a config": (with_config(b"[]"), "config.json"),
    "binary for a config": (with_config(b"\x80\xff"), "config.json"),
    "another image size": (configured("data", height=28, width=28), "28×28 pixels"),
    "fewer classes": (configured("data", classes=["a", "b"]), "2 classes"),
    "the same name twice": (configured("data", classes=["a", "b", "a"]), "config.json"),
    "classes of no text": (configured("data", classes=[1, 2, 3]), "config.json"),
    "a class with an escape": (configured("data", classes=["a", "b", "\x1b[2J"]), "config.json"),
    "no classes": (configured("data", classes=None), "config.json"),
    "a size of text": (configured("data", height="4"), "height is '4'"),
    "a size of zero": (configured("data", height=0), "height is 0"),
    "white of 256": (configured("data", white=256), "white is 256"),
    "an unknown setting": (configured("settings", magic=1), "config.json"),
    "other pixels": (configured("settings", pixels="negative"), "pixels"),
    "another dtype": (configured("settings", dtype="float64"), "float64"),
    "a data set of no text": (configured("settings", dataset=5), "config.json"),
}


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_run_is_refused(tmp_path, copy, refused, name):
    run, image = copy("own"), save(GREY, tmp_path / "image.png")
    for other in ("checkpoint-previous.pt", "best.pt"):
        (run / other).unlink()
    spoil, word = SPOILT[name]
    spoil(run)
    assert word in refused(run, image)


def test_the_files_of_two_runs_do_not_go_together(tmp_path, copy, runs, refused):
    image = save(GREY, tmp_path / "image.png")
    run = copy("own")
    shutil.copy(runs["digits"] / "config.json", run)
    err = refused(run, image)
    assert "(24, 3)" in err
    assert "8×8 pixels, 10 classes" in err


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"W": evil}, lambda evil: {"updater": {0: evil}}])
@pytest.mark.parametrize("how", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))])
def test_no_code_in_a_checkpoint_is_run(tmp_path, copy, refused, wrap, how):
    run, image, marker = copy("own"), save(GREY, tmp_path / "image.png"), tmp_path / "marker"
    state = wrap(Evil(marker))
    if isinstance(state, dict):
        state = torch.load(run / "checkpoint.pt", weights_only=True) | state
    for name in ("checkpoint.pt", "checkpoint-previous.pt"):
        how(state, run / name)
    assert "checkpoint" in refused(run, image)
    assert not marker.exists()
    torch.load(run / "checkpoint.pt", weights_only=False) if how is torch.save else pickle.loads(pickle.dumps(state))
    assert marker.exists()  # what the refusal has prevented


def test_a_flipped_bit_in_the_checkpoint_changes_no_prediction(tmp_path, copy, runs, capsys):
    """Anywhere in the file: it is refused, or what it decides is not changed."""
    run, image = copy("own"), save(GREY, tmp_path / "image.png")
    for name in ("checkpoint-previous.pt", "best.pt"):
        (run / name).unlink()
    whole = (run / "checkpoint.pt").read_bytes()
    assert main([str(run), str(image), "--json"]) == 0
    right = capsys.readouterr().out
    refusals = 0
    for at in np.random.default_rng(0).integers(0, len(whole), 100).tolist():
        (run / "checkpoint.pt").write_bytes(flipped(whole, at))
        status = main([str(run), str(image), "--json"])
        out, err = capsys.readouterr()
        said = status, out, len(err.splitlines())
        assert said in [(0, right, 0), (2, "", 1)]
        refusals += status == 2
    assert refusals > 20


def test_other_data_than_those_of_the_training_are_refused(tmp_path, arrays, copy, refused):
    run = copy("own")
    other = Path(shutil.copytree(arrays[0], tmp_path / "other"))
    write_idx(other / TEST_IMAGES, 255 - arrays[1][TEST_IMAGES])
    edit(run, "settings", dataset=str(other))
    assert "is not the one that" in refused(run)
    edit(run, "settings", dataset=str(tmp_path / "missing"))
    assert "missing" in refused(run)
    edit(run, "settings", dataset="digits")
    assert "is not the one that" in refused(run)
    assert not (run / "predicted.png").exists()


def test_the_command_speaks_to_pipes_of_any_encoding(tmp_path, runs):
    """As a user calls it; and one that nobody listens to any more ends without a word."""
    image = save(GREY, tmp_path / "靴.png")
    command = [sys.executable, "-m", "d2l_softmax.predict", "--logdir", str(runs["own"].parent), str(image)]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ascii_only, "cwd": tmp_path}
    with subprocess.Popen(command, **pipes) as heard, subprocess.Popen(command, **pipes) as unheard:
        unheard.stdout.close()
        out, err = heard.communicate(timeout=PATIENCE)
        assert (heard.returncode, err) == (0, "")
        assert "\\u9774.png" in out
        assert (unheard.stderr.read(), unheard.wait(timeout=PATIENCE)) == ("", 141)


def test_help_names_the_defaults(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    for words in ("default: 10", "default: runs", "RUN/predicted.png", "--invert"):
        assert words in out
