"""How every command of this project behaves: one line for each error, and a status that says what happened."""

import argparse
import errno
import gc
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from d2l_softmax.errors import UserError
from d2l_softmax.scale.launch import is_first

# Seconds that another process than the first waits before it reports an error.
GRACE = 10.0


def program() -> str:
    """The name that the command was called by: `train.py`, or the installed `d2l-softmax`."""
    return Path(sys.argv[0]).name


@contextmanager
def postponed_interrupt() -> Iterator[None]:
    """Postpone Ctrl-C to the end of a block of imports: NumPy and others fail when they are interrupted there."""
    interrupts = []
    before = signal.signal(signal.SIGINT, lambda *_: interrupts.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error here."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Parse as argparse does, and refuse `--option=--`, which it takes for an option without a value."""
        for argument in sys.argv[1:] if args is None else args:
            if argument.startswith("--") and argument.endswith("=--"):
                self.error(f"argument {argument.removesuffix('=--')}: expected a value")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> None:
        """Raise the message of argparse as a `UserError`."""
        raise UserError(f"{message} (see --help)")


def run_command(name: str, command: Callable[[], int]) -> int:
    """Call `command` and return the exit status.

    It is what `command` returns, or 2 for something that the user can fix, 130 for Ctrl-C, 141 where the reader of
    stdout has gone.
    """
    # The many objects that importing torch and matplotlib makes are kept; to look for garbage among them takes long.
    gc.set_threshold(100_000)
    if hasattr(sys.stdout, "reconfigure"):
        # A name or a sign that the terminal cannot show must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    # What fails in TensorBoard's writing thread is raised where its work is waited for, and is said once.
    threading.excepthook = lambda _: None
    warnings.formatwarning = lambda message, *_: f"warning: {_one_line(message)}\n"
    try:
        status = command()
        sys.stdout.flush()
        return status
    except UserError as error:
        return _report(name, error)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("can't allocate memory|out of memory", str(error)):
            raise
        return _report(name, "there is too little memory for images, batches or weights of this size")
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return _report(name, f"the name of a file is too long: {error.filename}")


def _report(name: str, error: object) -> int:
    """Print an error in one line and return the exit status."""
    if not is_first():
        # The first of several processes reports, and torchrun ends the others. If not, it has not met this error.
        time.sleep(GRACE)
    print(f"{name}: error: {_one_line(error)}", file=sys.stderr)
    return 2


def _one_line(message: object) -> str:
    return " ".join(str(message).splitlines())
