"""IDX files: read as they were written, and every fault is one line that names the file."""

import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from d2l_softmax.errors import UserError
from d2l_softmax.idx import read_images, read_labels
from tests.idx_files import idx_bytes, write_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 255, 1, 9], dtype=np.uint8)
READERS = {"images": (read_images, IMAGES), "labels": (read_labels, LABELS)}

each_kind = pytest.mark.parametrize("kind", READERS)
plain_and_gzipped = pytest.mark.parametrize("suffix", ["", ".gz"])
short = settings(max_examples=150, deadline=None, database=None)


def fault(reader, path: Path) -> str:
    """The message of the error that reading `path` must end in."""
    with pytest.raises(UserError) as error:
        reader(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    return message


def compressed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def zeros(size: int) -> bytes:
    """A gzip file of `size` MiB of zeros, made of members of one."""
    return compressed(bytes(1 << 20)) * size


@plain_and_gzipped
def test_images_are_read_as_written(tmp_path, suffix):
    images = read_images(write_idx(tmp_path / f"images{suffix}", IMAGES))
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.from_numpy(IMAGES))


@plain_and_gzipped
@pytest.mark.filterwarnings("error")
def test_changing_images_changes_no_file(tmp_path, suffix):
    path = write_idx(tmp_path / f"images{suffix}", IMAGES)
    read_images(path).zero_()
    assert torch.equal(read_images(path), torch.from_numpy(IMAGES))


@pytest.mark.filterwarnings("error")
def test_an_extracted_file_may_be_larger_than_the_memory_and_a_gzipped_one_may_not(tmp_path, monkeypatch):
    monkeypatch.setattr("d2l_softmax.idx.physical_memory", lambda: IMAGES.size - 1)
    path = write_idx(tmp_path / "images", IMAGES)
    assert torch.equal(read_images(path), torch.from_numpy(IMAGES))
    assert "more than fits into memory" in fault(read_images, write_idx(tmp_path / "images.gz", IMAGES))


@plain_and_gzipped
def test_labels_are_read_as_written(tmp_path, suffix):
    labels = read_labels(write_idx(tmp_path / f"labels{suffix}", LABELS))
    assert labels.dtype == torch.int64
    assert labels.tolist() == LABELS.tolist()


def test_gzip_files_of_several_members_are_read(tmp_path):
    data = idx_bytes(IMAGES)
    path = tmp_path / "images.gz"
    path.write_bytes(compressed(data[:9]) + compressed(data[9:]))
    assert torch.equal(read_images(path), torch.from_numpy(IMAGES))


@each_kind
@plain_and_gzipped
def test_missing_file(tmp_path, kind, suffix):
    assert "No such file" in fault(READERS[kind][0], tmp_path / f"file{suffix}")


@each_kind
@plain_and_gzipped
def test_folder_instead_of_a_file(tmp_path, kind, suffix):
    path = tmp_path / f"folder{suffix}"
    path.mkdir()
    fault(READERS[kind][0], path)


@each_kind
@plain_and_gzipped
def test_empty_file(tmp_path, kind, suffix):
    path = tmp_path / f"empty{suffix}"
    path.touch()
    assert "truncated" in fault(READERS[kind][0], path)


@each_kind
@plain_and_gzipped
def test_empty_content(tmp_path, kind, suffix):
    path = tmp_path / f"empty{suffix}"
    path.write_bytes(compressed(b"") if suffix else b"")
    assert "truncated" in fault(READERS[kind][0], path)


@each_kind
@plain_and_gzipped
def test_truncated_before_compression_at_every_byte(tmp_path, kind, suffix):
    reader, array = READERS[kind]
    data = idx_bytes(array)
    path = tmp_path / f"file{suffix}"
    for length in range(len(data)):
        path.write_bytes(compressed(data[:length]) if suffix else data[:length])
        assert "truncated" in fault(reader, path)


@each_kind
def test_truncated_gzip_stream_at_every_byte(tmp_path, kind):
    reader, array = READERS[kind]
    data = compressed(idx_bytes(array))
    path = tmp_path / "file.gz"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        # Of one byte, gzip sees only that it is no gzip file.
        assert "truncated" in (message := fault(reader, path)) or ("not a gzip file" in message and length == 1)


@each_kind
def test_named_gz_but_not_gzipped(tmp_path, kind):
    reader, array = READERS[kind]
    path = tmp_path / "file.gz"
    path.write_bytes(idx_bytes(array))
    assert "not a gzip file" in fault(reader, path)


@each_kind
def test_gzipped_but_not_named_gz(tmp_path, kind):
    reader, array = READERS[kind]
    path = tmp_path / "file"
    path.write_bytes(compressed(idx_bytes(array)))
    assert "magic number" in fault(reader, path)


def test_every_flipped_byte_of_a_gzip_stream_is_noticed(tmp_path):
    data = compressed(idx_bytes(IMAGES))
    path = tmp_path / "images.gz"
    # The first ten bytes are the gzip header, some of which (time, operating system) say nothing about the content.
    for position in range(10, len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        fault(read_images, path)


@pytest.mark.parametrize("position", [-8, -4], ids=["checksum", "length"])
def test_trailer_that_does_not_fit_the_content(tmp_path, position):
    data = bytearray(compressed(idx_bytes(IMAGES)))
    data[position] ^= 1
    path = tmp_path / "images.gz"
    path.write_bytes(data)
    assert "damaged" in fault(read_images, path)


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1 << 21])
def test_files_are_checked_to_the_end_wherever_it_lies(tmp_path, size):
    labels = np.arange(size - 8).astype(np.uint8)  # the header takes 8 bytes
    data = compressed(idx_bytes(labels))
    path = tmp_path / "labels.gz"
    path.write_bytes(data)
    assert np.array_equal(read_labels(path).numpy(), labels)
    path.write_bytes(data + compressed(b"x"))
    assert "too long" in fault(read_labels, path)
    path.write_bytes(data[:-8] + bytes([data[-8] ^ 1]) + data[-7:])
    assert "damaged" in fault(read_labels, path)
    path.write_bytes(data[:-1])
    assert "truncated" in fault(read_labels, path)


@plain_and_gzipped
def test_labels_given_as_images_and_images_given_as_labels(tmp_path, suffix):
    assert "0x00000801" in fault(read_images, write_idx(tmp_path / f"labels{suffix}", LABELS))
    assert "0x00000803" in fault(read_labels, write_idx(tmp_path / f"images{suffix}", IMAGES))


@each_kind
@plain_and_gzipped
@pytest.mark.parametrize(
    "change",
    [0x0100, 0x0300, 0x0400, 0x0500, 0x0600, 0x01000000, 0x00010000, 0x00000004, 0xFFFFF000],
    ids=["int8", "int16", "int32", "float32", "float64", "first byte", "second byte", "rank", "noise"],
)
def test_wrong_magic_number(tmp_path, kind, suffix, change):
    reader, array = READERS[kind]
    magic = (0x800 + array.ndim) ^ change
    path = write_idx(tmp_path / f"file{suffix}", array, magic=magic)
    assert f"{magic:#010x}" in fault(reader, path)


@plain_and_gzipped
@pytest.mark.parametrize(
    ("reader", "shape"),
    [
        (read_images, (1 << 20, 1 << 10, 1 << 10)),
        (read_images, (0xFFFFFFFF,) * 3),
        (read_images, (1 << 16, 1 << 16, 1 << 16)),
        (read_images, (1 << 31, 1 << 31, 4)),
        (read_labels, (0xFFFFFFFF,)),
    ],
    ids=["tebibyte", "largest", "48 bits", "64 bits", "labels"],
)
def test_header_that_promises_far_too_much(tmp_path, suffix, reader, shape):
    path = write_idx(tmp_path / f"file{suffix}", IMAGES, shape=shape)
    fault(reader, path)  # torchvision is imported outside the measurement
    tracemalloc.start()
    try:
        assert "truncated" in fault(reader, path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@each_kind
@plain_and_gzipped
@pytest.mark.parametrize("extra", [1, 5000])
def test_more_data_than_promised(tmp_path, kind, suffix, extra):
    reader, array = READERS[kind]
    path = tmp_path / f"file{suffix}"
    data = idx_bytes(array) + bytes(extra)
    path.write_bytes(compressed(data) if suffix else data)
    assert "too long" in fault(reader, path)


def test_what_follows_the_gzip_stream_is_not_ignored(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(compressed(idx_bytes(IMAGES)) + b"something else")
    fault(read_images, path)


def test_gzip_bomb_is_abandoned_as_soon_as_it_exceeds_its_promise(tmp_path):
    path = tmp_path / "images.gz"
    # 4 GiB when extracted. Whoever reads on beyond the first 8 MiB meets damage and says that instead.
    path.write_bytes(compressed(idx_bytes(IMAGES)) + zeros(8) + b"damage" + zeros(4096))
    tracemalloc.start()
    try:
        assert "too long" in fault(read_images, path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


@plain_and_gzipped
@pytest.mark.parametrize("shape", [(0, 4, 3), (5, 0, 3), (5, 4, 0), (0, 0, 0)])
def test_images_of_no_size(tmp_path, suffix, shape):
    path = write_idx(tmp_path / f"images{suffix}", np.zeros(shape, np.uint8))
    assert str(shape) in fault(read_images, path)


@plain_and_gzipped
def test_no_labels(tmp_path, suffix):
    fault(read_labels, write_idx(tmp_path / f"labels{suffix}", np.zeros(0, np.uint8)))


@plain_and_gzipped
def test_reading_writes_nothing_beside_the_file(tmp_path, suffix):
    path = write_idx(tmp_path / f"images{suffix}", IMAGES)
    before = tmp_path.stat().st_mtime_ns
    read_images(path)
    assert list(tmp_path.iterdir()) == [path]
    assert tmp_path.stat().st_mtime_ns == before


def read_or_fault(reader, path: Path) -> torch.Tensor | None:
    """What is read, or None where the file is refused in one line; anything else fails the test."""
    try:
        return reader(path)
    except UserError:
        fault(reader, path)
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("idx")


@short
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda rest: struct.pack(">I", 0x803) + rest),
        st.binary(max_size=60).map(lambda rest: struct.pack(">I", 0x801) + rest),
        st.lists(st.integers(0, 4), min_size=3, max_size=3).flatmap(
            lambda shape: st.binary(max_size=70).map(lambda rest: struct.pack(">4I", 0x803, *shape) + rest)
        ),
    ),
    outside=st.sampled_from([None, "raw", "gzip", "gzip header"]),
)
def test_any_bytes_are_read_or_refused(folder, data, outside):
    path = folder / ("any" if outside is None else "any.gz")
    path.write_bytes({"gzip": compressed(data), "gzip header": b"\x1f\x8b\x08" + data}.get(outside, data))
    for kind, (reader, array) in READERS.items():
        result = read_or_fault(reader, path)
        if result is not None:
            content = zlib.decompress(path.read_bytes(), 31) if outside else data
            assert content == idx_bytes(result.numpy()), kind
            assert result.ndim == array.ndim


@short
@given(data=st.data(), suffix=st.sampled_from(["", ".gz"]), kind=st.sampled_from(list(READERS)))
def test_damaged_copies_are_read_or_refused(folder, data, suffix, kind):
    reader, array = READERS[kind]
    whole = compressed(idx_bytes(array)) if suffix else idx_bytes(array)
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)), label="length")])
    for _ in range(data.draw(st.integers(0, 3), label="flips")):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path = folder / f"damaged{suffix}"
    path.write_bytes(damaged)
    result = read_or_fault(reader, path)
    if result is not None and suffix:
        assert result.tolist() == array.tolist()  # gzip has a checksum
    elif result is not None:
        assert idx_bytes(result.numpy()) == damaged
