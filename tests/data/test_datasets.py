"""Data sets, compared with torchvision's and scikit-learn's own."""

from dataclasses import replace
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch
import torchvision
from sklearn.datasets import load_digits
from torchvision.datasets.utils import extract_archive
from torchvision.transforms import Resize, ToPILImage

from d2l_softmax.data.catalogue import SOURCES, DataUnavailableError
from d2l_softmax.data.datasets import load_data_fashion_mnist, load_dataset, split
from d2l_softmax.errors import UserError
from tests.idx_files import STEMS, make_folder, rows, snapshot, write_idx

OUTERMOST = (np.s_[0], np.s_[-1], np.s_[1:-1, 0], np.s_[1:-1, -1])
FIELDS = ("train_images", "train_labels", "test_images", "test_labels")
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = STEMS


@pytest.fixture
def fetch(monkeypatch) -> Mock:
    """Takes the place of the download, which is in vain."""
    fetch = Mock(side_effect=DataUnavailableError("no mirror delivers"))
    monkeypatch.setattr("d2l_softmax.data.catalogue._download", fetch)
    return fetch


@pytest.mark.parametrize("name", SOURCES)
def test_named_data_sets_are_torchvisions(tmp_path, name):
    published = getattr(torchvision.datasets, SOURCES[name].folder)
    raw, extracted = (tmp_path / place / published.__name__ / "raw" for place in ("gzipped", "extracted"))
    make_folder(raw, 50, 20, 10, 28)
    make_folder(extracted, 50, 20, 10, 28, gz=False)
    train, test = (published(tmp_path / "extracted", train=train) for train in (True, False))
    expected = [train.data.unsqueeze(1), train.targets, test.data.unsqueeze(1), test.targets]
    for folder in (tmp_path / "gzipped", tmp_path / "extracted"):
        dataset = load_dataset(name, folder)
        assert (dataset.name, dataset.classes, dataset.num_inputs) == (name, tuple(published.classes), 784)
        torch.testing.assert_close([getattr(dataset, field) for field in FIELDS], expected, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*has no label 1")
@pytest.mark.parametrize(("side", "classes"), [(None, 1), (1, 26), (8, 26), (64, 26)])
def test_images_of_ones_own_are_read_and_resized_as_by_torchvision(tmp_path, side, classes):
    folder, resize = tmp_path / "my letters", Resize((side, side) if side else (13, 20))
    arrays = make_folder(folder, 90, 30, classes, 20)
    for stem in (TRAIN_IMAGES, TEST_IMAGES):
        oblong = arrays[stem][:, :13]
        write_idx(folder / f"{stem}.gz", oblong)
        arrays[stem] = np.stack([resize(ToPILImage()(image)) for image in oblong])
    extract_archive(folder / f"{TRAIN_LABELS}.gz", remove_finished=True)  # not all files need be gzipped
    dataset = load_dataset(str(folder), resize=side and np.int64(side))
    assert (dataset.name, dataset.max_value, dataset.train_images.dtype) == ("my letters", 255, torch.uint8)
    assert dataset.classes == tuple(str(i) for i in range(max(classes, 2)))  # softmax has at least two
    for field, stem in zip(FIELDS, STEMS, strict=True):
        assert np.array_equal(getattr(dataset, field).numpy().reshape(arrays[stem].shape), arrays[stem])


@pytest.mark.parametrize("name", ["fashion-mnist", "auto", "a folder of one's own"])
@pytest.mark.parametrize(
    ("stem", "array", "message"),
    [
        (TEST_IMAGES, np.zeros((10, 5, 4)), "different sizes"),
        (TRAIN_LABELS, np.zeros(19), f"{TRAIN_LABELS}.gz holds 19 labels, but there are 20 images"),
        (TEST_LABELS, np.full(10, 10), f"{TEST_LABELS}.gz has the label 10, but the classes are 0 to 9"),
    ],
)
def test_faulty_files_are_neither_used_nor_replaced(tmp_path, fetch, name, stem, array, message):
    raw = tmp_path / "FashionMNIST" / "raw"
    make_folder(raw, 20, 10, 10, 4)
    write_idx(raw / f"{stem}.gz", array)
    before = snapshot(tmp_path)
    with pytest.raises(UserError, match=f"^{raw}.*{message}"):
        load_dataset(str(raw) if "folder" in name else name, tmp_path)
    assert snapshot(tmp_path) == before
    fetch.assert_not_called()


@pytest.mark.parametrize("stem", STEMS)
def test_an_incomplete_data_set_is_fetched_or_replaced_by_digits_with_a_warning(tmp_path, fetch, recwarn, stem):
    raw = tmp_path / "FashionMNIST" / "raw"
    make_folder(raw, 30, 10, 10, 28)
    assert load_dataset("auto", tmp_path).name == "fashion-mnist"
    fetch.assert_not_called()
    assert not recwarn
    (raw / f"{stem}.gz").unlink()
    with pytest.raises(DataUnavailableError, match="no mirror delivers"):
        load_data_fashion_mnist(5, data_dir=tmp_path)
    with pytest.warns(UserWarning, match="no mirror delivers.* digits") as warned:
        assert load_dataset("auto", tmp_path).name == "digits"
    assert [warning.filename for warning in warned if "digits" in str(warning.message)] == [__file__]
    assert fetch.call_args_list == [call("fashion-mnist", tmp_path)] * 2


@pytest.mark.parametrize("name", ["no such data set", "Fashion-MNIST", "a\0b", "x" * 300, "caf\udce9", "/gone/moved"])
def test_unknown_names(name):
    with pytest.raises(UserError, match=f"no data set and no folder {name}: .*--data-dir"):
        load_dataset(name)


def test_digits_are_scikit_learns_split_in_proportion_to_the_classes():
    digits, dataset = load_digits(), load_dataset("digits")
    assert (dataset.max_value, dataset.num_inputs, dataset.classes) == (16, 64, tuple(map(str, digits.target_names)))
    train, test = rows(dataset.train_images, dataset.train_labels), rows(dataset.test_images, dataset.test_labels)
    assert train + test == rows(digits.images.astype(np.uint8), digits.target)
    assert np.abs(np.bincount(dataset.test_labels) - np.bincount(digits.target) * 360 / 1797).max() < 1
    assert load_dataset("digits").checksum() == dataset.checksum()


def test_what_is_recorded_of_a_data_set_and_its_checksum_depends_on_every_byte_and_the_shape(tmp_path):
    arrays = make_folder(tmp_path / "own", 30, 10, 3, 6)
    dataset = load_dataset(str(tmp_path / "own"))
    border = np.sort(np.concatenate([image[i] for image in arrays[TRAIN_IMAGES] for i in OUTERMOST]))
    assert dataset.description == {
        **{"name": "own", "sha256": dataset.checksum(), "train_images": 30, "test_images": 10, "max_value": 255},
        **{"height": 6, "width": 6, "classes": ("0", "1", "2"), "border": border[(len(border) - 1) // 2]},
    }
    tensors = {field: getattr(dataset, field).clone() for field in FIELDS}
    for tensor in tensors.values():
        tensor[-1] += 1
    tensors["test_images"] = dataset.test_images.view(-1, 1, 9, 4)
    changed = [replace(dataset, **{field: tensor}).checksum() for field, tensor in tensors.items()]
    assert len({dataset.checksum(), *changed}) == 5


def test_load_data_fashion_mnist_shuffles_training_and_keeps_the_test_order(tmp_path):
    arrays = make_folder(tmp_path / "FashionMNIST" / "raw", 300, 70, 10, 28)
    options = {"data_dir": str(tmp_path), "dtype": torch.float64, "device": torch.device("cpu")}
    train_iter, ((X, y),) = load_data_fashion_mnist(100, **options)
    assert np.array_equal(X.squeeze(1), arrays[TEST_IMAGES] / 255)
    assert np.array_equal(y, arrays[TEST_LABELS])
    first, second = ([torch.cat(part) for part in zip(*train_iter, strict=True)] for _ in range(2))
    assert rows(*first) == rows(*second) == rows(arrays[TRAIN_IMAGES] / 255, arrays[TRAIN_LABELS])
    assert not torch.equal(first[0], second[0])
    assert next(iter(load_data_fashion_mnist(64, resize=12, **options)[0]))[0].shape == (64, 1, 12, 12)


def test_a_second_number_is_refused_as_it_may_be_of_workers_or_pixels():
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        load_data_fashion_mnist(256, 4)


def test_validation_images_are_drawn_from_the_training_images():
    dataset = load_dataset("digits")
    one, same, other = (split(dataset, 200, seed) for seed in (1, 1, 2))
    assert {name: len(labels) for name, (_, labels) in one.items()} == {"train": 1237, "test": 360, "validation": 200}
    assert rows(*one["train"]) + rows(*one["validation"]) == rows(dataset.train_images, dataset.train_labels)
    assert [torch.equal(one["train"][0], splits["train"][0]) for splits in (same, other)] == [True, False]
    with pytest.raises(UserError, match="--validation 1437 leaves nothing of the 1437 training images of digits"):
        split(dataset, 1437, 1)
