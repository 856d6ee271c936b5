"""How every command ends: one line for an error or Ctrl-C, and a status that says what happened."""

import argparse
import io
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from d2l_softmax.errors import UserError
from d2l_softmax.parallel import is_first, launched

# Seconds that another process than the first waits before it reports an error.
GRACE = 10.0


def program() -> str:
    """The name that the command was called by: `train.py`, or the installed `d2l-softmax`."""
    return Path(sys.argv[0]).name


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error here."""

    def error(self, message: str) -> None:
        """Raise the message of argparse as a `UserError`."""
        raise UserError(f"{message} (see --help)")


def run_command(command: Callable[[], int]) -> int:
    """Call `command` and return the exit status.

    It is what `command` returns, or 2 for something that the user can fix, 130 for Ctrl-C or SIGTERM, 141 where the
    reader of stdout has gone.
    """
    with _process_settings():
        status = _status(command)
    if launched():
        # The threads that connect processes may still be running, and must not be destroyed under them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _status(command: Callable[[], int]) -> int:
    try:
        status = command()
        sys.stdout.flush()
        return status
    except UserError as error:
        return _report(error)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("can't allocate memory|out of memory", str(error)):
            raise
        return _report("there is too little memory for images, batches or weights of this size")
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        # Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UnicodeEncodeError as error:
        return _report(f"a name is not text in UTF-8: {error.object!r}")
    except OSError as error:
        return _report(f"cannot read or write {error.filename or 'a file'}: {error.strerror or error}")


@contextmanager
def _process_settings() -> Iterator[None]:
    """Settings of the whole process while a command runs in it."""
    hook, form = threading.excepthook, warnings.formatwarning
    # What fails in TensorBoard's writing thread is raised where its work is waited for, and is said once.
    threading.excepthook = lambda _: None
    warnings.formatwarning = lambda message, *_: f"warning: {_one_line(message)}\n"
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or a sign that the terminal cannot show must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        threading.excepthook, warnings.formatwarning = hook, form
        signal.signal(signal.SIGTERM, handler)


def interrupted(how_to_go_on: str = "") -> int:
    """Say that Ctrl-C has ended the command, and return the exit status."""
    print(f"{program()}: interrupted{how_to_go_on and '; '}{how_to_go_on}", file=sys.stderr)
    return 130


def _report(error: object) -> int:
    """Print an error in one line and return the exit status."""
    if not is_first():
        # The first of several processes reports, and torchrun ends the others. If not, it has not met this error.
        time.sleep(GRACE)
    print(f"{program()}: error: {_one_line(error)}", file=sys.stderr)
    return 2


def _one_line(message: object) -> str:
    return " ".join(str(message).splitlines())
