"""IDX files: read as they were written, and every fault is one line that names the file."""

import gzip
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
    """The message of the error that reading the file must end in."""
    with pytest.raises(UserError, match=rf"\A.*{path}.*\Z") as error:  # one line
        read_idx(path, rank)
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


@each_file
def test_content_that_is_not_what_the_header_promises(tmp_path, array, suffix):
    data, rank = idx_bytes(array), array.ndim
    faults = [(data[:length], "damaged") for length in range(4 + 4 * rank)]
    faults += [(data[:length], "truncated") for length in range(4 + 4 * rank, len(data))]
    faults += [(data + bytes(extra), "too long") for extra in (1, 5000)]
    faults += [(idx_bytes(empty), str(empty.shape)) for empty in (array.take([], axis) for axis in range(rank))]
    for content, message in faults:
        assert message in fault(write_idx(tmp_path / f"file{suffix}", content), rank)


def test_a_file_that_cannot_be_opened(tmp_path):
    assert "No such file" in fault(tmp_path / "missing")
    assert "directory" in fault(tmp_path)


def test_gzip_streams_truncated_or_changed_at_any_byte(tmp_path):
    path = tmp_path / "images.gz"
    for length in range(len(GZIPPED)):
        path.write_bytes(GZIPPED[:length])
        fault(path)
    # The first ten bytes are the gzip header, some of which (time, operating system) say nothing about the content.
    for position in range(10, len(GZIPPED)):
        path.write_bytes(GZIPPED[:position] + bytes([GZIPPED[position] ^ 0x55]) + GZIPPED[position + 1 :])
        fault(path)


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
