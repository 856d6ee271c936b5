"""IDX files: read as they were written, and every fault is one line that names the file."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2l_softmax.data.idx import read_idx
from d2l_softmax.errors import UserError
from tests.idx_files import idx_bytes, write_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 255, 1, 9], dtype=np.uint8)
GZIPPED = gzip.compress(idx_bytes(IMAGES))

each_file = pytest.mark.parametrize(("array", "suffix"), [(a, s) for a in (IMAGES, LABELS) for s in ("", ".gz")])


def fault(path: Path, rank: int = 3) -> str:
    """The message of the error that reading the file must end in, without using much memory."""
    tracemalloc.start()
    with pytest.raises(UserError, match=rf"\A.*{path}.*\Z") as error:  # one line
        read_idx(path, rank)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    return str(error.value)


@each_file
@pytest.mark.filterwarnings("error")
def test_files_are_read_as_written_and_changing_what_was_read_changes_no_file(tmp_path, array, suffix):
    path = write_idx(tmp_path / f"file{suffix}", array)
    for _ in range(2):
        tensor = read_idx(path, array.ndim)
        assert tensor.dtype == torch.uint8
        assert np.array_equal(tensor, array)
        tensor.zero_()
    assert list(tmp_path.iterdir()) == [path]


@each_file
def test_content_that_is_not_what_the_header_promises(tmp_path, array, suffix):
    data, rank = idx_bytes(array), array.ndim
    faults = [(data[:length], "truncated") for length in range(len(data))]
    faults += [(idx_bytes(array, shape=(huge,) * rank), "truncated") for huge in (1 << 14, 0xFFFFFFFF)]
    faults += [(data + bytes(extra), "too long") for extra in (1, 5000)]
    faults += [(idx_bytes(empty), str(empty.shape)) for empty in (array.take([], axis) for axis in range(rank))]
    # Signed bytes, floats, not this format at all, another rank, and noise.
    magics = [rank ^ magic for magic in (0x900, 0xD00, 0x1000800, 0x10800, 0x802, 0xFFFFF800)]
    faults += [(idx_bytes(array, magic), f"{magic:#010x}") for magic in magics]
    for content, message in faults:
        assert message in fault(write_idx(tmp_path / f"file{suffix}", content), rank)


@each_file
def test_what_cannot_be_opened_or_is_gzipped_against_its_name(tmp_path, array, suffix):
    path, data = tmp_path / f"file{suffix}", idx_bytes(array)
    assert "No such file" in fault(path, array.ndim)
    path.write_bytes(data if suffix else gzip.compress(data))
    assert ("not a gzip file" if suffix else "magic number") in fault(path, array.ndim)
    path.unlink()
    path.mkdir()
    assert "directory" in fault(path, array.ndim)


def test_gzip_streams_truncated_or_changed_at_any_byte(tmp_path):
    path = tmp_path / "images.gz"
    for length in range(len(GZIPPED)):
        path.write_bytes(GZIPPED[:length])
        # One byte does not show that this is a gzip file.
        assert ("not a gzip file" if length == 1 else "truncated") in fault(path)
    # The first ten bytes are the gzip header, some of which (time, operating system) say nothing about the content.
    for position in range(10, len(GZIPPED)):
        path.write_bytes(GZIPPED[:position] + bytes([GZIPPED[position] ^ 0x55]) + GZIPPED[position + 1 :])
        fault(path)


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1 << 21])  # 1 MiB is read at a time
def test_gzip_streams_are_checked_to_the_end_but_not_beyond_what_is_promised(tmp_path, size):
    labels = np.arange(size - 8).astype(np.uint8)  # the header takes 8 bytes
    content, path = idx_bytes(labels), tmp_path / "labels.gz"
    data = gzip.compress(content[:100]) + gzip.compress(content[100:])  # a file may hold several streams
    path.write_bytes(data)
    assert np.array_equal(read_idx(path, 1), labels)
    wrong_checksum = data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]
    faults = {wrong_checksum: "damaged", data + b"x": "damaged", data[:-1]: "truncated", data + data: "too long"}
    # 4 GiB of zeros. Whoever reads on beyond the first 8 MiB of them meets damage and says that instead.
    zeros = gzip.compress(bytes(1 << 20))
    faults[data + zeros * 8 + b"damage" + zeros * 4096] = "too long"
    for damaged, message in faults.items():
        path.write_bytes(damaged)
        assert message in fault(path, 1)


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from([idx_bytes(IMAGES), idx_bytes(LABELS), GZIPPED]),
    length=st.none() | st.integers(0, 120),
    tail=st.binary(max_size=70),
    changed=st.tuples(st.integers(0, 120), st.integers(1, 255)),
    suffix=st.sampled_from(["", ".gz"]),
    compress=st.booleans(),
)
def test_whatever_a_file_holds_is_read_or_refused(tmp_path, whole, length, tail, changed, suffix, compress):
    data, (position, bits) = bytearray(whole[:length] + tail), changed
    data[position : position + 1] = (byte ^ bits for byte in data[position : position + 1])
    path = tmp_path / f"any{suffix}"
    path.write_bytes(gzip.compress(data) if compress else data)
    for rank in (1, 3):
        try:
            array = read_idx(path, rank).numpy()
        except UserError:
            fault(path, rank)
        else:
            assert array.ndim == rank
            assert idx_bytes(array) == (gzip.decompress(path.read_bytes()) if suffix else path.read_bytes())
