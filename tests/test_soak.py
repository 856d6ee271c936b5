"""The attacks of `tests/soak`, with a fixed seed and few of each kind, and faults that they must see."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from d2l_softmax.commands.train import main
from tests.soak.__main__ import soak
from tests.soak.cases import FaultError, in_child, judge
from tests.soak.kills import compare, outcomes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"), [("kills", 3), ("commands", 50), ("files", 80), ("images", 50), ("disks", 3)]
)
def test_nothing_goes_wrong_under_attack(kind, count):
    counts, faults = soak(kind, seed=0, wanted=count)
    assert not faults
    assert sum(counts.values()) >= count


def leave_a_file():
    Path(os.environ["TMPDIR"], "left").touch()
    return 0


@pytest.mark.parametrize(
    ("does", "fault"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: time.sleep(60), "it hangs"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "exit status -9"),
        (lambda: 3, "exit status 3"),
        (lambda: print("two\nlines", file=sys.stderr) or 2, "2 lines on stderr"),
        (lambda: 2, "0 lines on stderr"),
        (leave_a_file, "leaves"),
    ],
)
def test_what_no_command_may_do_is_seen(tmp_path, does, fault):
    with pytest.raises(FaultError, match=fault):
        judge("case", in_child(does, tmp_path, seconds=2), tmp_path)


def test_memory_is_seen(tmp_path):
    little, much = (in_child(lambda n=n: len(bytearray(n)) * 0, tmp_path) for n in (1, 200 << 20))
    assert 190 < much.megabytes - little.megabytes < 250
    with pytest.raises(FaultError, match="MB of"):
        judge("case", much, tmp_path, most_megabytes=little.megabytes + 100)


def test_other_results_are_seen(tmp_path):
    for lr in ("0.1", "0.2"):
        options = ["--dataset", "digits", "--epochs", "1", "--lr", lr, "--logdir", str(tmp_path / lr)]
        assert main([*options, "--run-name", "run"]) == 0
    expected = outcomes(tmp_path / "0.1")
    compare("the same", tmp_path / "0.1", expected)
    with pytest.raises(FaultError, match=r"checkpoint\.pt.*config\.json.*curves.*metrics\.csv.*weights\.png"):
        compare("another", tmp_path / "0.2", expected)
