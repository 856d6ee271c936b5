"""IDX files: read as they were written, and every fault is one line that names the file."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from d2l_softmax.data.idx import read_idx
from d2l_softmax.errors import UserError
from tests.idx_files import idx_bytes, write_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 255, 1, 9], dtype=np.uint8)

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
    faults = [(data[:length], "damaged" if length < 4 + 4 * rank else "truncated") for length in range(len(data))]
    faults += [(data + bytes(extra), "too long") for extra in (1, 5000)]
    faults += [(idx_bytes(empty), str(empty.shape)) for empty in (array.take([], axis) for axis in range(rank))]
    for content, message in faults:
        assert message in fault(write_idx(tmp_path / f"file{suffix}", content), rank)


def test_files_of_another_kind_are_described_in_words(tmp_path):
    path, other = tmp_path / "file", "but must hold unsigned bytes, 3 dimensions"
    for magic, held in ((0xC02, "32-bit integers, 2"), (0xD03, "32-bit floats, 3"), (0x801, "unsigned bytes, 1")):
        assert f"holds {held} dimensions, {other}" in fault(write_idx(path, idx_bytes(IMAGES, magic)))
    assert "is not an IDX file" in fault(write_idx(path, b"\x89PNG and so on"))
    assert "No such file" in fault(tmp_path / "missing")


def test_gzip_streams_truncated_or_changed_at_any_byte(tmp_path):
    path, whole = tmp_path / "images.gz", gzip.compress(idx_bytes(IMAGES))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        fault(path)
    # The first ten bytes are the gzip header, some of which (time, operating system) say nothing about the content.
    for position in range(10, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        fault(path)
