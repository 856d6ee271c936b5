"""Data of one's own as people have them: images in class folders, and IDX files of other names and places."""

import gzip
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Grayscale, PILToTensor, Resize

from d2l_softmax.data.datasets import load_dataset
from d2l_softmax.data.files import read_idx
from d2l_softmax.errors import UserError
from tests.idx_files import STEMS, idx_bytes, make_folder, rows, write_idx

CLASSES = {"cat": 10, "Dog": 21, "猫": 5}


def make_images(folder, classes=CLASSES, side=6):
    """Write coloured images of noise in a folder for each class, in three formats."""
    random = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = Image.fromarray(random.integers(0, 256, (side, side + 1, 3), dtype=np.uint8))
            image.save(folder / name / f"{i}{('.png', '.JPG', '.bmp')[i % 3]}")
    return folder


def oracle(folder, side=None):
    """The class names and the images with their labels, as torchvision reads them."""
    resize = [] if side is None else [Resize((side, side))]
    samples = ImageFolder(folder, Compose([Grayscale(), *resize, PILToTensor()]), allow_empty=True)
    return tuple(samples.classes), rows(*zip(*samples, strict=True))


def clutter(folder):
    """Put beside images what is none, or is hidden."""
    for place in [folder, *(path for path in folder.iterdir() if path.is_dir())]:
        for path in (place / ".ipynb_checkpoints" / "1.png", place / "._1.png", place / "notes.txt"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"no image")


@pytest.mark.parametrize("side", [None, 4])
def test_images_in_train_and_test_are_those_of_torchvision(tmp_path, side, recwarn):
    make_images(tmp_path / "train")
    make_images(tmp_path / "test", {"cat": 2, "Dog": 0, "猫": 3})  # a class may have no test images
    (classes, train), (_, test) = (oracle(tmp_path / part, side) for part in ("train", "test"))
    clutter(tmp_path / "train")
    dataset = load_dataset(str(tmp_path), resize=side)
    assert dataset.classes == classes == ("Dog", "cat", "猫")
    assert rows(dataset.train_images, dataset.train_labels) == train
    assert rows(dataset.test_images, dataset.test_labels) == test
    assert len(set(dataset.train_labels[:10].tolist())) == 3  # those that pictures show are not all of one class
    assert not recwarn


def test_a_fifth_of_each_class_is_held_out_by_the_seed_and_a_warning_says_so(tmp_path):
    classes, images = oracle(make_images(tmp_path / "pets", CLASSES | {"ox": 2}))
    with pytest.warns(UserWarning, match="pets has no train/ and test/: the seed holds out 7 of 38 images") as warned:
        one, same, other = (load_dataset(str(tmp_path / "pets"), seed=seed) for seed in (1, np.int64(1), 2**40))
    assert warned[0].filename == __file__
    assert (one.name, one.classes) == ("pets", classes)
    assert rows(one.train_images, one.train_labels) + rows(one.test_images, one.test_labels) == images
    assert np.abs(np.bincount(one.test_labels) - np.array([21, 10, 2, 5]) / 5).max() < 1
    assert one.checksum() == same.checksum() != other.checksum()


@pytest.mark.filterwarnings("ignore:.*the seed holds out")
def test_hundreds_of_classes_of_two_images_and_a_name_that_is_not_utf8(tmp_path):
    make_images(tmp_path, {f"{i:03}": 2 for i in range(200)})
    os.rename(os.fsencode(tmp_path / "199"), os.fsencode(tmp_path) + b"/caf\xe9")
    dataset = load_dataset(str(tmp_path))
    assert dataset.classes[-1] == "caf\\xe9"
    assert torch.equal(dataset.test_labels.sort().values, torch.arange(200))


# How a folder of train/ and test/ is spoilt, and what the one line says.
FAULTS = {
    "of two sizes": (lambda f: make_images(f / "train" / "cat" / "x", {"y": 1}, 9), "JPG and .*x/y/0.png .*--resize"),
    "no image": (lambda f: (f / "train" / "cat" / "0.png").write_bytes(b"text"), "cannot read .*cat/0.png"),
    "only in test": (lambda f: make_images(f / "test", {"ox": 1}), "test has the class ox, but .*train has not"),
    "empty class": (lambda f: (f / "train" / "ox").mkdir(), "train/ox, the folder .* has no images; it has nothing"),
    "no test": (lambda f: shutil.rmtree(f / "test"), "no data set in .*, directly or in train/ and .*; it has train"),
    "one image": (lambda f: [shutil.rmtree(f), make_images(f, {"a": 1, "b": 9})], "pets has a class of one image"),
    "no classes": (lambda f: [shutil.rmtree(f), make_images(f.parent, {"pets": 3})], "no data set in .*0.png, 1.JPG"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_folder_of_images_that_cannot_be_used_is_one_line(tmp_path, name):
    folder, (spoil, message) = tmp_path / "pets", FAULTS[name]
    make_images(folder / "train")
    make_images(folder / "test")
    spoil(folder)
    with pytest.raises(UserError, match=rf"\A.*{message}.*\Z"):
        load_dataset(str(folder))


# What each file is called instead, and what is done with its content.
VARIANTS = {
    "a dot": (lambda stem: stem.replace("-idx", ".idx"), bytes),
    "a folder of that name": (lambda stem: f"x/{stem}/{stem.replace('-idx', '.idx')}", bytes),
    "torchvision's root": (lambda stem: f"MNIST/raw/{stem}", bytes),
    "extracted, but .gz": (lambda stem: f"{stem}.gz", bytes),
    "gzipped, but not .gz": (str, gzip.compress),
    "gzipped twice": (lambda stem: f"{stem}.gz", lambda content: gzip.compress(gzip.compress(content))),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_idx_files_that_differ_by_a_dot_are_read(tmp_path, name):
    make_folder(tmp_path / "plain", 9, 6, 3, 4, gz=False)
    rename, change = VARIANTS[name]
    for stem in STEMS:
        path = tmp_path / "variant" / rename(stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change((tmp_path / "plain" / stem).read_bytes()))
    plain, variant = (load_dataset(str(tmp_path / folder)) for folder in ("plain", "variant"))
    assert variant.checksum() == plain.checksum()
    with pytest.raises(UserError, match=r"several data sets: name one, .*/plain, .*/variant"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(("made", "named"), [("MNIST", ""), ("MNIST/raw", "MNIST"), ("MNIST/raw", "MNIST/raw")])
def test_a_published_data_set_may_be_named_or_lie_one_level_too_high(tmp_path, monkeypatch, made, named):
    monkeypatch.setenv("HOME", str(tmp_path))
    arrays = make_folder(tmp_path / made, 30, 20, 10, 4)
    dataset = load_dataset("mnist", f"~/{named}")
    assert np.array_equal(dataset.train_images[:, 0], arrays[STEMS[0]])
    assert load_dataset(f"~/{made}").checksum() == dataset.checksum()


def test_what_is_looked_for_and_what_is_there_are_said(tmp_path):
    make_folder(tmp_path, 9, 6, 3, 4)
    (tmp_path / f"{STEMS[3]}.gz").rename(tmp_path / "t10k-labels-idx1-ubyte (1).gz")
    with pytest.raises(UserError, match=rf"{STEMS[3]}, gzipped or not.* it has t10k.*t10k-labels-idx1-ubyte \(1\)"):
        load_dataset(str(tmp_path))


def test_labels_that_leave_a_class_empty_are_said(tmp_path):
    make_folder(tmp_path, 9, 6, 3, 4, gz=False)
    write_idx(tmp_path / STEMS[1], np.arange(3, 12))
    with pytest.warns(UserWarning, match=f"{STEMS[1]} has no label 0, 1, 2: "):
        load_dataset(str(tmp_path))


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 255, 1, 9], dtype=np.uint8)


def assert_faulty(path, rank=3, said=""):
    with pytest.raises(UserError, match=rf"\A.*{path}.*{said}.*\Z"):  # one line
        read_idx(path, rank)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("array", [IMAGES, LABELS])
def test_content_that_is_not_what_the_header_promises(tmp_path, array, suffix):
    data = idx_bytes(array)
    faulty = [data[:length] for length in range(len(data))] + [data + bytes(1), data + bytes(5000)]
    for content in [*faulty, *(idx_bytes(array.take([], axis)) for axis in range(array.ndim))]:
        assert_faulty(write_idx(tmp_path / f"file{suffix}", content), array.ndim)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (idx_bytes(IMAGES, 0xC02), "holds 32-bit integers, 2 dimensions, but must hold unsigned bytes, 3 dimensions"),
        (idx_bytes(LABELS), "holds unsigned bytes, 1 dimensions, but"),
        (b"\x89PNG and so on", "is not an IDX file"),
    ],
)
def test_files_of_another_kind_are_described_in_words(tmp_path, content, said):
    assert_faulty(write_idx(tmp_path / "file", content), said=said)


def test_gzip_streams_truncated_or_changed_at_any_byte(tmp_path):
    path, whole = tmp_path / "images.gz", gzip.compress(idx_bytes(IMAGES))
    faulty = [whole[:length] for length in range(len(whole))]
    # The first ten bytes are the gzip header, some of which (time, operating system) say nothing about the content.
    faulty += [whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :] for i in range(10, len(whole))]
    for content in faulty:
        path.write_bytes(content)
        assert_faulty(path)
