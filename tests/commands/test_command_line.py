import io
import subprocess
import sys

import pytest

from d2l_softmax import UserError
from d2l_softmax.commands.command_line import Parser, run_command
from tests.conftest import ROOT
from tests.processes import PATIENCE


def interrupt():
    raise KeyboardInterrupt


def mistake():
    raise UserError("no such\nfile")


def wrong_option():
    Parser(prog="name").parse_args(["--what"])


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (lambda: 1, 1, ""),
        (mistake, 2, "name: error: no such file\n"),
        (wrong_option, 2, "name: error: unrecognized arguments: --what (see --help)\n"),
        (interrupt, 130, "name: interrupted\n"),
    ],
)
def test_the_status_and_one_line_say_what_happened(command, status, said, capsys):
    assert run_command("name", command) == status
    assert capsys.readouterr() == ("", said)


def test_only_the_first_of_several_processes_reports_a_mistake(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert run_command("name", mistake) == 2
    assert capsys.readouterr().err == ""


def test_a_bug_is_a_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command("name", lambda: 1 // 0)


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
    warnings.warn("old")
    sys.stdin.read()  # until the reader has gone
    print("too late")

sys.exit(run_command("name", command))
"""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == "warning: old\n"
        assert process.wait(timeout=PATIENCE) == 141
