"""The attacks of `tests/soak`, with a fixed seed and few of each kind, and faults that they must see."""

import pytest

from tests import runs
from tests.soak import attacks, kills
from tests.soak.__main__ import soak
from tests.soak.kills import compare, outcome


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("kills", 2), ("commands", 50), ("files", 80)])
def test_nothing_goes_wrong_under_attack(kind, count, monkeypatch):
    monkeypatch.setattr(kills, "MOST_KILLS", 2)
    counts, faults = soak(kind, seed=0, wanted=count)
    assert not faults
    assert counts.total() >= count


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import time; time.sleep(60)", "status None"),
        ("import os; os.kill(os.getpid(), 9)", "status -9"),
        ("import sys; print('one\\ntwo', file=sys.stderr); sys.exit(2)", "status 2, 2 lines on stderr"),
    ],
)
def test_what_no_command_may_do_is_seen(tmp_path, monkeypatch, command, fault):
    monkeypatch.setattr(attacks, "MAINS", {"command": exec})
    monkeypatch.setattr(attacks, "SECONDS", 1)
    with pytest.raises(AssertionError, match=fault):
        attacks.judge(attacks.in_child("command", command, tmp_path))


def test_other_results_are_seen(tmp_path):
    for lr in ("0.1", "0.2"):
        assert runs.train(tmp_path, lr, "--lr", lr) == 0
    expected = outcome(tmp_path / "0.1")
    compare("the same", tmp_path / "0.1", expected)
    with pytest.raises(AssertionError, match=r"checkpoint\.pt.*loss/test.*metrics\.csv"):
        compare("another", tmp_path / "0.2", expected)
