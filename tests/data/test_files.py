"""Every fault of an IDX file is one line that names it; that files are read as written is in test_datasets.py."""

import gzip

import numpy as np
import pytest

from d2l_softmax.data.files import read_idx
from d2l_softmax.errors import UserError
from tests.idx_files import idx_bytes, write_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 255, 1, 9], dtype=np.uint8)

each_file = pytest.mark.parametrize(("array", "suffix"), [(a, s) for a in (IMAGES, LABELS) for s in ("", ".gz")])


def assert_faulty(path, rank=3, said=""):
    with pytest.raises(UserError, match=rf"\A.*{path}.*{said}.*\Z"):  # one line
        read_idx(path, rank)


@each_file
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
