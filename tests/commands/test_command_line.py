import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from d2l_softmax import UserError
from d2l_softmax.commands.command_line import GRACE, Parser, postponed_interrupt, run_command
from tests.conftest import ROOT
from tests.processes import PATIENCE

TORCHRUN = {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def interrupt():
    raise KeyboardInterrupt


def mistake():
    raise UserError("no such\nfile")


def wrong_option():
    Parser(prog="name").parse_args(["--what"])


def too_large():
    torch.empty(2**60)


def bug():
    raise RuntimeError("shapes differ")


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (lambda: 1, 1, ""),
        (mistake, 2, "name: error: no such file\n"),
        (wrong_option, 2, "name: error: unrecognized arguments: --what (see --help)\n"),
        (too_large, 2, "name: error: there is too little memory for images, batches or weights of this size\n"),
        (Path("x" * 300).stat, 2, f"name: error: the name of a file is too long: {'x' * 300}\n"),
        (interrupt, 130, "name: interrupted\n"),
    ],
)
def test_the_status_and_one_line_say_what_happened(command, status, said, capsys):
    assert run_command("name", command) == status
    assert capsys.readouterr() == ("", said)


def test_another_than_the_first_process_reports_a_mistake_only_if_the_first_does_not_end_it(monkeypatch, capsys):
    waited = []
    monkeypatch.setattr("time.sleep", lambda seconds: waited.append((seconds, capsys.readouterr().err)))
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert run_command("name", mistake) == 2
        assert capsys.readouterr().err == "name: error: no such file\n"
    assert waited == [(GRACE, "")]


def test_ctrl_c_during_imports_is_postponed():
    done = []

    def imports():
        with postponed_interrupt():
            signal.raise_signal(signal.SIGINT)
            done.append("imported")

    with pytest.raises(KeyboardInterrupt):
        imports()
    assert done


def test_a_bug_is_a_traceback():
    with pytest.raises(RuntimeError, match="shapes differ"):
        run_command("name", bug)


def test_a_letter_that_the_terminal_cannot_show_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    assert run_command("name", lambda: print("8×8 靴") or 0) == 0
    assert written.getvalue() == b"8\\xd78 \\u9774\n"


def test_a_command_whose_reader_has_gone_ends_quietly_after_its_warnings():
    code = """
import sys, warnings
from d2l_softmax.commands.command_line import run_command

def command():
    warnings.warn("two\\nlines")
    sys.stdin.read()  # until the reader has gone
    print("too late")

sys.exit(run_command("name", command))
"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == "warning: two lines\n"
        assert process.wait(timeout=PATIENCE) == 141
