import io
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch

from d2l_softmax import UserError
from d2l_softmax.commands.errors_and_interrupts import Parser, interrupted, run_command
from tests.conftest import ROOT
from tests.processes import PATIENCE


def mistake():
    raise UserError("no such\nfile")


TOO_LARGE = "there is too little memory for images, batches or weights of this size"


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (lambda: 1, 1, ""),
        (mistake, 2, "train.py: error: no such file\n"),
        (lambda: Parser().parse_args(["--x"]), 2, "train.py: error: unrecognized arguments: --x (see --help)\n"),
        (lambda: torch.empty(2**60), 2, f"train.py: error: {TOO_LARGE}\n"),
        (lambda: Path("gone").stat(), 2, "train.py: error: cannot read or write gone: No such file or directory\n"),
        (lambda: "\udcff".encode(), 2, "train.py: error: a name is not text in UTF-8: '\\udcff'\n"),
        (lambda: signal.raise_signal(signal.SIGINT), 130, "train.py: interrupted\n"),
        (lambda: signal.raise_signal(signal.SIGTERM), 130, "train.py: interrupted\n"),
        (lambda: interrupted("to go on: again"), 130, "train.py: interrupted; to go on: again\n"),
    ],
)
def test_the_status_and_one_line_say_what_happened(command, status, said, capsys):
    assert run_command(command) == status
    assert capsys.readouterr() == ("", said)


def test_a_bug_is_a_traceback_and_what_was_set_for_the_command_is_as_before(monkeypatch):
    written, seen = io.BytesIO(), []
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))

    def settings():
        return threading.excepthook, warnings.formatwarning, signal.getsignal(signal.SIGTERM)

    def command():
        print("8×8 靴")
        seen.extend(settings())
        raise RuntimeError("shapes differ")

    before = settings()
    with pytest.raises(RuntimeError, match="shapes differ"):
        run_command(command)
    assert settings() == before
    assert all(during != own for during, own in zip(seen, before, strict=True))
    assert written.getvalue() == b"8\\xd78 \\u9774\n"


def test_a_command_whose_reader_has_gone_ends_quietly_after_its_warnings():
    code = """
import sys, warnings
from d2l_softmax.commands.errors_and_interrupts import run_command

def command():
    warnings.warn("two\\nlines")
    sys.stdin.read()  # until the reader has gone
    print("too late")

sys.exit(run_command(command))
"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == "warning: two lines\n"
        assert process.wait(timeout=PATIENCE) == 141
