"""How every command of this project behaves: one line for each error, and a status that says what happened."""

import argparse
import gc
import os
import sys
import threading
import warnings
from collections.abc import Callable

from d2l_softmax.errors import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error here."""

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
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        status = command()
        sys.stdout.flush()
        return status
    except UserError as error:
        # torchrun starts several processes, of which the first reports.
        if os.environ.get("RANK", "0") == "0":
            print(f"{name}: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
