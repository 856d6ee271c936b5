"""The attacks of `tests/soak`, with a fixed seed and few of each kind."""

import pytest

from tests.soak import kills
from tests.soak.__main__ import soak


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("kills", 2), ("commands", 50), ("files", 80)])
def test_nothing_goes_wrong_under_attack(kind, count, monkeypatch):
    monkeypatch.setattr(kills, "MOST_KILLS", 2)
    counts, faults = soak(kind, seed=0, wanted=count)
    assert not faults
    assert counts.total() >= count
