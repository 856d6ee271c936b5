"""Data sets and batches, held against torchvision's, scikit-learn's and PyTorch's own."""

import dataclasses
import inspect
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, Resize, ToTensor

from d2l_softmax.catalogue import SOURCES
from d2l_softmax.data import BatchIterator, Dataset, load_data_fashion_mnist, load_dataset
from d2l_softmax.download import DownloadError
from d2l_softmax.errors import UserError
from tests.idx_files import (
    STEMS,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    make_folder,
    publish,
    resources,
    snapshot,
    write_idx,
)

CPU = torch.device("cpu")
NAMES = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST", "kmnist": "KMNIST"}

cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=cuda)])
seeds = pytest.mark.parametrize("seed", [None, 3])


def fault(name: str, data_dir: Path | str = "data", resize: int | None = None) -> str:
    """The message of the error that loading the data set must end in."""
    with pytest.raises(UserError) as error:
        load_dataset(name, data_dir, resize)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


def pil_images(images: np.ndarray, *transforms) -> torch.Tensor:
    """The images as torchvision makes tensors of them one by one."""
    transform = Compose([*transforms, ToTensor()])
    return torch.stack([transform(Image.fromarray(image)) for image in images])


def numbered(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one row by two columns that spell out their number, with the number as label."""
    labels = torch.arange(n)
    return torch.stack([labels // 256, labels % 256], 1).to(torch.uint8).view(n, 1, 1, 2), labels


def order(batches: BatchIterator) -> list[int]:
    """The labels of one pass."""
    return torch.cat([y for _, y in batches]).tolist()


def no_download(*args):
    raise AssertionError("nothing is to be downloaded")


def failing_download(*args):
    raise DownloadError("https://one.example/: HTTP Error 503; https://two.example/: no data for 5 seconds")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("d2l_softmax.data.download", failing_download)


@pytest.fixture
def fashion(tmp_path, monkeypatch) -> dict[str, np.ndarray]:
    """A made-up Fashion-MNIST below tmp_path, whose checksums torchvision takes for the published ones."""
    raw = tmp_path / "FashionMNIST" / "raw"
    arrays = make_folder(raw, 300, 70, 10, 28)
    publish(monkeypatch, "fashion-mnist", resources=resources(raw))
    monkeypatch.setattr("d2l_softmax.data.download", no_download)
    return arrays


@devices
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_are_what_totensor_makes_of_the_pil_images(device, dtype):
    images = np.arange(6 * 8 * 16).reshape(6, 8, 16).astype(np.uint8)  # every byte three times over
    batches = BatchIterator(
        torch.from_numpy(images).unsqueeze(1), torch.arange(6), 4, dtype=dtype, device=torch.device(device)
    )
    torch.set_default_dtype(dtype)  # ToTensor's
    try:
        expected = pil_images(images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert expected.dtype == dtype
    assert expected.max() == 1
    for _ in range(2):
        X = torch.cat([X for X, _ in batches])
        assert X.device.type == device
        assert X.dtype == dtype
        assert torch.equal(X.cpu(), expected)


def test_scale_is_the_byte_that_becomes_one():
    digits = load_digits().images[:50]
    batches = BatchIterator(
        torch.from_numpy(digits.astype(np.uint8)).unsqueeze(1), torch.arange(50), 8, scale=16, dtype=torch.float64
    )
    assert torch.equal(torch.cat([X for X, _ in batches]).squeeze(1).cpu(), torch.from_numpy(digits / 16))


@pytest.mark.parametrize("batch_size", [1, 7, 256, 300, 1000, 1023, 1024, 1025, 1500, 2500, 2501, 10_000])
def test_fixed_order_gives_the_batches_of_pytorchs_loader(batch_size):
    images, labels = numbered(2500)
    pairs = list(zip(pil_images(images.squeeze(1).numpy()), labels.tolist(), strict=True))
    expected = DataLoader(pairs, batch_size)
    batches = BatchIterator(images, labels, batch_size, device=CPU)
    assert len(batches) == len(expected)
    for _ in range(2):
        for (X, y), (expected_X, expected_y) in zip(batches, expected, strict=True):
            assert torch.equal(X, expected_X)
            assert torch.equal(y, expected_y)
            assert y.dtype == torch.int64


@seeds
@pytest.mark.parametrize("n", [1, 10, 1024, 1025, 2500])
@pytest.mark.parametrize("batch_size", [1, 7, 256, 1000, 1024, 1500, 10_000])
def test_every_pass_gives_every_image_once_with_its_label(seed, n, batch_size):
    images, labels = numbered(n)
    batches = BatchIterator(images, labels, batch_size, seed=seed, device=CPU)
    sizes = [len(rows) for rows in torch.empty(n).split(batch_size)]
    for _ in range(3):
        pairs = list(batches)
        assert [tuple(X.shape) for X, _ in pairs] == [(size, 1, 1, 2) for size in sizes]
        assert [len(y) for _, y in pairs] == sizes
        assert len(batches) == len(sizes)
        X, y = (torch.cat(part) for part in zip(*pairs, strict=True))
        assert sorted(y.tolist()) == list(range(n))
        assert torch.equal(X, pil_images(images.squeeze(1).numpy())[y])


@pytest.mark.parametrize("batch_size", [1, 100, 1024, 5000])
def test_a_seed_gives_a_new_order_every_pass_and_the_same_orders_again(batch_size):
    images, labels = numbered(2000)
    one, same, other = (BatchIterator(images, labels, batch_size, seed=seed, device=CPU) for seed in (1, 1, 2))
    passes = [order(one) for _ in range(3)]
    assert len({tuple(labels) for labels in passes}) == 3
    torch.manual_seed(99)
    np.random.seed(99)
    assert [order(same) for _ in range(3)] == passes
    assert order(other) not in passes


def test_the_order_does_not_depend_on_the_batch_size():
    images, labels = numbered(2000)
    orders = {tuple(order(BatchIterator(images, labels, size, seed=1, device=CPU))) for size in (1, 300, 1024, 4000)}
    assert len(orders) == 1


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=cuda)])
def test_the_order_does_not_depend_on_the_device(device):
    images, labels = numbered(2000)
    here, there = (BatchIterator(images, labels, 256, seed=1, device=torch.device(d)) for d in ("cpu", device))
    assert [order(here) for _ in range(2)] == [order(there) for _ in range(2)]


def test_shuffling_leaves_pytorchs_own_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    order(BatchIterator(*numbered(100), 10, seed=5, device=CPU))
    assert torch.equal(torch.rand(3), expected)


def test_seeded_orders_are_spread_evenly():
    # Each of 5 images is first in about a fifth of 2000 passes: a standard deviation is 17.9.
    batches = BatchIterator(*numbered(5), 5, seed=0, device=CPU)
    first = Counter(order(batches)[0] for _ in range(2000))
    assert all(abs(first[i] - 400) < 90 for i in range(5))


@seeds
def test_changing_a_batch_in_place_does_not_change_the_data(seed):
    images, labels = numbered(100)
    batches = BatchIterator(images, labels, 30, seed=seed, device=CPU)
    for X, _ in batches:
        X.zero_()
    assert torch.equal(batches.images, numbered(100)[0])


def test_a_pass_that_is_broken_off_leaves_the_next_one_whole():
    batches = BatchIterator(*numbered(100), 10, seed=0, device=CPU)
    next(iter(batches))
    assert sorted(order(batches)) == list(range(100))


def test_digits_are_scikit_learns_images_split_once():
    digits = load_digits()
    dataset = load_dataset("digits")
    assert (dataset.name, dataset.white, dataset.num_inputs) == ("digits", 16, 64)
    assert dataset.classes == tuple(map(str, digits.target_names))
    assert dataset.train_images.shape == (1437, 1, 8, 8)
    assert dataset.test_images.shape == (360, 1, 8, 8)
    assert dataset.train_images.dtype == dataset.test_images.dtype == torch.uint8
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == torch.int64

    def rows(images, labels) -> Counter:
        return Counter(
            (tuple(image), int(label)) for image, label in zip(images.reshape(-1, 64).tolist(), labels, strict=True)
        )

    train = rows(dataset.train_images, dataset.train_labels)
    test = rows(dataset.test_images, dataset.test_labels)
    assert train + test == rows(digits.images, digits.target)
    assert not train & test


def test_digits_are_split_in_proportion_to_the_classes():
    counts = np.bincount(load_digits().target)
    dataset = load_dataset("digits")
    test_counts = np.bincount(dataset.test_labels.numpy(), minlength=10)
    assert np.all(np.abs(test_counts - counts * 360 / 1797) < 1)


def test_digits_are_the_same_every_time():
    np.random.seed(1)
    first = load_dataset("digits").checksum()
    np.random.seed(2)
    assert load_dataset("digits").checksum() == first


@pytest.mark.parametrize("gz", [True, False], ids=["gzipped", "extracted"])
def test_own_folder_is_read_and_not_written_to(tmp_path, gz):
    folder = tmp_path / "my letters"
    arrays = make_folder(folder, 90, 30, 26, 6, gz)
    folder.chmod(0o555)
    before = snapshot(folder)
    dataset = load_dataset(str(folder))
    assert snapshot(folder) == before
    assert dataset.name == "my letters"
    assert dataset.classes == tuple(str(i) for i in range(26))
    assert (dataset.white, dataset.num_inputs) == (255, 36)
    assert torch.equal(dataset.train_images, torch.from_numpy(arrays[TRAIN_IMAGES]).unsqueeze(1))
    assert torch.equal(dataset.test_images, torch.from_numpy(arrays[TEST_IMAGES]).unsqueeze(1))
    assert torch.equal(dataset.train_labels, torch.from_numpy(arrays[TRAIN_LABELS]).long())
    assert torch.equal(dataset.test_labels, torch.from_numpy(arrays[TEST_LABELS]).long())


def test_own_folder_may_mix_gzipped_and_extracted_files(tmp_path):
    arrays = make_folder(tmp_path, 20, 10, 3, 4)
    (tmp_path / f"{TRAIN_IMAGES}.gz").unlink()
    write_idx(tmp_path / TRAIN_IMAGES, arrays[TRAIN_IMAGES])
    assert torch.equal(load_dataset(str(tmp_path)).train_images[:, 0], torch.from_numpy(arrays[TRAIN_IMAGES]))


def test_own_folder_of_one_class_still_has_two_for_softmax(tmp_path):
    make_folder(tmp_path, 20, 10, 1, 4)
    assert load_dataset(str(tmp_path)).classes == ("0", "1")


@pytest.mark.parametrize("stem", STEMS)
def test_own_folder_with_a_file_missing(tmp_path, stem):
    make_folder(tmp_path, 20, 10, 3, 4)
    (tmp_path / f"{stem}.gz").unlink()
    message = fault(str(tmp_path))
    assert str(tmp_path) in message
    assert stem in message


def test_own_folder_with_training_and_test_images_of_different_sizes(tmp_path):
    make_folder(tmp_path, 20, 10, 3, 4)
    write_idx(tmp_path / f"{TEST_IMAGES}.gz", np.zeros((10, 5, 4), np.uint8))
    message = fault(str(tmp_path))
    assert str(tmp_path) in message
    assert "4×4" in message
    assert "5×4" in message


@pytest.mark.parametrize(("stem", "n"), [(TRAIN_LABELS, 20), (TEST_LABELS, 10)])
@pytest.mark.parametrize("more", [-1, 1])
def test_own_folder_with_more_or_fewer_labels_than_images(tmp_path, stem, n, more):
    make_folder(tmp_path, 20, 10, 3, 4)
    write_idx(tmp_path / f"{stem}.gz", np.zeros(n + more, np.uint8))
    message = fault(str(tmp_path))
    assert f"{n} " in message
    assert f"{n + more} " in message


def test_own_folder_with_a_test_label_that_training_never_shows(tmp_path):
    make_folder(tmp_path, 20, 10, 3, 4)
    labels = write_idx(tmp_path / f"{TEST_LABELS}.gz", np.full(10, 3, np.uint8))
    assert f"{labels} has the label 3" in fault(str(tmp_path))


def test_own_folder_with_a_damaged_file(tmp_path):
    make_folder(tmp_path, 20, 10, 3, 4)
    path = tmp_path / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in fault(str(tmp_path))


@pytest.mark.parametrize("name", ["no such data set", "Fashion-MNIST", "a\0b"])
def test_unknown_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert f"unknown data set '{name}'" in fault(name)


@pytest.mark.parametrize(
    ("name", "data_dir"), [("x" * 5000, "data"), ("fashion-mnist", "x" * 300), ("auto", "x" * 300)]
)
def test_name_too_long_for_the_file_system(tmp_path, monkeypatch, offline, name, data_dir):
    monkeypatch.chdir(tmp_path)
    fault(name, tmp_path / data_dir)


def test_named_data_set_that_must_not_be_read(tmp_path, monkeypatch, fashion):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))  # root would not be refused

    monkeypatch.setattr("d2l_softmax.data._md5", refuse)
    message = fault("fashion-mnist", tmp_path)
    assert "Permission denied" in message
    assert f"{TRAIN_IMAGES}.gz" in message


def test_a_file_is_not_a_folder_of_ones_own(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert str(path) in fault(str(path))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gz", [True, False], ids=["gzipped", "extracted"])
def test_named_data_sets_are_torchvisions(tmp_path, monkeypatch, name, gz):
    source = getattr(torchvision.datasets, NAMES[name])
    for root, gzipped in ((tmp_path / "data", gz), (tmp_path / "extracted", False)):
        make_folder(root / NAMES[name] / "raw", 50, 20, 10, 28, gzipped)
    if gz:
        publish(monkeypatch, name, resources=resources(tmp_path / "data" / NAMES[name] / "raw"))
    monkeypatch.setattr("d2l_softmax.data.download", no_download)
    before = snapshot(tmp_path / "data")
    dataset = load_dataset(name, tmp_path / "data")
    assert snapshot(tmp_path / "data") == before
    train, test = (source(tmp_path / "extracted", train=train) for train in (True, False))
    assert dataset.name == name
    assert dataset.classes == tuple(source.classes)
    assert torch.equal(dataset.train_images[:, 0], train.data)
    assert torch.equal(dataset.train_labels, train.targets)
    assert torch.equal(dataset.test_images[:, 0], test.data)
    assert torch.equal(dataset.test_labels, test.targets)


@pytest.mark.parametrize("stem", [TRAIN_LABELS, TEST_LABELS])
def test_named_data_set_with_a_label_outside_its_classes(tmp_path, monkeypatch, fashion, stem):
    raw = tmp_path / "FashionMNIST" / "raw"
    labels = fashion[stem]
    labels[5] = 10
    path = write_idx(raw / f"{stem}.gz", labels)
    publish(monkeypatch, "fashion-mnist", resources=resources(raw))
    message = fault("fashion-mnist", tmp_path)
    assert f"{path} has the label 10" in message
    assert "0 to 9" in message


@pytest.mark.parametrize("name", ["fashion-mnist", "auto"])
@pytest.mark.parametrize("stem", STEMS)
def test_named_data_set_with_the_wrong_checksum_is_neither_used_nor_replaced(tmp_path, fashion, name, stem):
    path = tmp_path / "FashionMNIST" / "raw" / f"{stem}.gz"
    array = fashion[stem]
    array.flat[0] ^= 1  # still a good file of the right size
    write_idx(path, array)
    before = snapshot(tmp_path)
    message = fault(name, tmp_path)
    assert str(path) in message
    assert "checksum" in message
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", ["fashion-mnist", "auto"])
@pytest.mark.parametrize("gz", [True, False], ids=["gzipped", "extracted"])
def test_damaged_local_file_is_neither_used_nor_replaced(tmp_path, offline, name, gz):
    raw = tmp_path / "FashionMNIST" / "raw"
    make_folder(raw, 30, 10, 10, 28, gz)
    path = raw / (f"{TRAIN_IMAGES}.gz" if gz else TRAIN_IMAGES)
    path.write_bytes(path.read_bytes()[:-100])
    before = snapshot(tmp_path)
    assert str(path) in fault(name, tmp_path)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", NAMES)
def test_named_data_set_that_cannot_be_had_is_an_error(tmp_path, offline, name):
    message = fault(name, tmp_path)
    assert name in message
    assert str(tmp_path / NAMES[name] / "raw") in message
    assert "https://one.example/: HTTP Error 503; https://two.example/: no data" in message


@pytest.mark.parametrize("stem", STEMS)
def test_one_missing_file_of_a_named_data_set_is_asked_for(tmp_path, monkeypatch, fashion, stem):
    asked = []
    monkeypatch.setattr("d2l_softmax.data.download", lambda name, md5, mirrors, folder: asked.append((name, md5)))
    (tmp_path / "FashionMNIST" / "raw" / f"{stem}.gz").unlink()
    fault("fashion-mnist", tmp_path)
    assert [name for name, _ in asked] == [f"{stem}.gz"]
    assert asked[0] in SOURCES["fashion-mnist"].resources


def test_auto_is_fashion_mnist_where_there_is_one(tmp_path, fashion):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dataset = load_dataset("auto", tmp_path)
    assert dataset.name == "fashion-mnist"
    assert dataset.checksum() == load_dataset("fashion-mnist", tmp_path).checksum()


def test_auto_falls_back_to_digits_with_one_warning(tmp_path, offline):
    with pytest.warns(UserWarning, match="digits") as warned:
        dataset = load_dataset("auto", tmp_path)
    (warning,) = (warning for warning in warned if issubclass(warning.category, UserWarning))
    message = str(warning.message)
    assert len(message.splitlines()) == 1
    assert "https://one.example/: HTTP Error 503; https://two.example/: no data" in message
    assert warning.filename == __file__
    assert dataset.name == "digits"
    assert dataset.checksum() == load_dataset("digits").checksum()


@pytest.mark.parametrize("side", [1, 5, 8, 13, 28, 31, 64])
def test_resize_is_what_torchvision_makes_of_the_pil_images(tmp_path, side):
    arrays = make_folder(tmp_path, 12, 5, 3, 28)
    dataset = load_dataset(str(tmp_path), resize=side)
    assert dataset.num_inputs == side * side
    for images, stem in ((dataset.train_images, TRAIN_IMAGES), (dataset.test_images, TEST_IMAGES)):
        expected = [np.asarray(Resize(side)(Image.fromarray(image))) for image in arrays[stem]]
        assert images.dtype == torch.uint8
        assert np.array_equal(images.squeeze(1).numpy(), np.stack(expected))
    assert dataset.train_labels.tolist() == arrays[TRAIN_LABELS].tolist()
    assert dataset.test_labels.tolist() == arrays[TEST_LABELS].tolist()


def test_resize_makes_oblong_images_square(tmp_path):
    make_folder(tmp_path, 6, 6, 3, 4)
    images = np.random.default_rng(0).integers(0, 256, (6, 10, 7), dtype=np.uint8)
    for stem in (TRAIN_IMAGES, TEST_IMAGES):
        write_idx(tmp_path / f"{stem}.gz", images)
    dataset = load_dataset(str(tmp_path), resize=9)
    expected = [np.asarray(Resize((9, 9))(Image.fromarray(image))) for image in images]
    assert np.array_equal(dataset.train_images.squeeze(1).numpy(), np.stack(expected))


def test_resized_digits_keep_their_white():
    dataset = load_dataset("digits", resize=16)
    assert dataset.train_images.shape == (1437, 1, 16, 16)
    assert (dataset.white, int(dataset.train_images.max())) == (16, 16)


def small_dataset() -> Dataset:
    images, labels = numbered(20)
    return Dataset("small", images.clone(), labels.clone(), images[:6].clone(), labels[:6].clone(), ("a", "b"))


@pytest.mark.parametrize("field", ["train_images", "train_labels", "test_images", "test_labels"])
def test_checksum_notices_a_change_of_one(field):
    dataset = small_dataset()
    before = dataset.checksum()
    assert before == small_dataset().checksum()
    assert len(bytes.fromhex(before)) == 32
    getattr(dataset, field).view(-1)[-1] += 1
    assert dataset.checksum() != before


def test_checksum_notices_the_shape_and_ignores_the_layout_in_memory():
    dataset = small_dataset()
    turned = dataclasses.replace(dataset, train_images=dataset.train_images.transpose(2, 3).reshape(20, 1, 2, 1))
    assert turned.checksum() != dataset.checksum()
    spread = torch.stack([dataset.train_images] * 2, -1)[..., 0]
    assert not spread.is_contiguous()
    assert dataclasses.replace(dataset, train_images=spread).checksum() == dataset.checksum()


def test_load_data_fashion_mnist_has_the_books_signature():
    parameters = list(inspect.signature(load_data_fashion_mnist).parameters.values())
    assert [(p.name, p.default) for p in parameters[:2]] == [
        ("batch_size", inspect.Parameter.empty),
        ("resize", None),
    ]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:])


def test_load_data_fashion_mnist_shuffles_training_and_keeps_the_test_order(tmp_path, fashion):
    train_iter, test_iter = load_data_fashion_mnist(64, data_dir=tmp_path, device=CPU)
    assert (len(train_iter), len(test_iter)) == (5, 2)
    assert [len(y) for _, y in train_iter] == [64, 64, 64, 64, 44]
    for _ in range(2):
        X, y = (torch.cat(part) for part in zip(*test_iter, strict=True))
        assert torch.equal(X, pil_images(fashion[TEST_IMAGES]))
        assert y.tolist() == fashion[TEST_LABELS].tolist()

    def rows(images, labels) -> list[tuple[bytes, int]]:
        return [(image.numpy().tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]

    expected = rows(pil_images(fashion[TRAIN_IMAGES]), fashion[TRAIN_LABELS])
    passes = [rows(*(torch.cat(part) for part in zip(*train_iter, strict=True))) for _ in range(2)]
    assert Counter(passes[0]) == Counter(passes[1]) == Counter(expected)
    assert passes[0] != passes[1]
    assert expected not in passes


def test_load_data_fashion_mnist_follows_its_options(tmp_path, fashion):
    options = {"data_dir": str(tmp_path), "dtype": torch.float64}
    one, same, other = (load_data_fashion_mnist(100, 12, seed=seed, **options)[0] for seed in (1, 1, 2))
    X, _ = next(iter(one))
    assert X.shape == (100, 1, 12, 12)
    assert X.dtype == torch.float64
    assert torch.equal(X, next(iter(same))[0])
    assert not torch.equal(X, next(iter(other))[0])
    _, test_iter = load_data_fashion_mnist(70, 12, data_dir=tmp_path, device=CPU)
    assert torch.equal(next(iter(test_iter))[0], pil_images(fashion[TEST_IMAGES], Resize(12)))


def test_load_data_fashion_mnist_takes_no_substitute(tmp_path, offline):
    with pytest.raises(UserError, match="fashion-mnist"):
        load_data_fashion_mnist(256, data_dir=tmp_path)


def test_real_fashion_mnist_is_torchvisions(tmp_path, real_data):
    raw = real_data / "FashionMNIST" / "raw"
    before = snapshot(raw)
    dataset = load_dataset("fashion-mnist", real_data)
    assert snapshot(raw) == before
    assert dataset.train_images.shape == (60_000, 1, 28, 28)
    assert dataset.test_images.shape == (10_000, 1, 28, 28)
    extracted = tmp_path / "FashionMNIST" / "raw"
    extracted.mkdir(parents=True)
    for name, _ in torchvision.datasets.FashionMNIST.resources:
        torchvision.datasets.utils.extract_archive(raw / name, extracted)
    for train, images, labels in (
        (True, dataset.train_images, dataset.train_labels),
        (False, dataset.test_images, dataset.test_labels),
    ):
        expected = torchvision.datasets.FashionMNIST(tmp_path, train=train)
        assert torch.equal(images[:, 0], expected.data)
        assert torch.equal(labels, expected.targets)
        assert dataset.classes == tuple(expected.classes)
        expected.transform = ToTensor()
        X, y = next(iter(BatchIterator(images, labels, 500, device=CPU)))
        expected_X, expected_y = next(iter(DataLoader(expected, 500)))
        assert torch.equal(X, expected_X)
        assert torch.equal(y, expected_y)
