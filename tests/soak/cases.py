"""One attack in a process of its own, and how it must end whatever was done to it."""

import contextlib
import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

# What commands import when they need it; a fork has it from here.
import torchvision.datasets  # noqa: F401

import d2l_softmax.experiment.resume
import d2l_softmax.record.report  # noqa: F401

SECONDS = 20  # after which a case hangs
# What a case may take beyond what is usual, and twice the size of what it reads.
MEGABYTES = 150


class FaultError(AssertionError):
    """The program did something that it never may; `alike` is the same of faults that differ in names and numbers."""

    def __init__(self, message: str, alike: str = ""):
        super().__init__(message)
        self.alike = re.sub(r"'[^']*'|[\w./-]*\d[\w./-]*", "…", alike or message)


class Ended(NamedTuple):
    """How a process ended: its status, or minus the signal that killed it, what it printed, and its peak in MB."""

    status: int
    out: str
    err: str
    megabytes: float


def in_child(function: Callable[[], int], folder: Path, seconds: int = SECONDS) -> Ended:
    """Call `function` in a fork of this process that stands in `folder`/cwd and has `folder`/tmp for temporary files.

    A fork has imported everything already, and is all that a crash, an endless loop or a changed global harms.
    """
    for name in ("cwd", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    if not (pid := os.fork()):
        _child(function, folder, seconds)
    _, status, used = os.wait4(pid, 0)
    out, err = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    return Ended(os.waitstatus_to_exitcode(status), out, err, used.ru_maxrss / 1024)


def _child(function: Callable[[], int], folder: Path, seconds: int) -> None:
    status = 1
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout = open(1, "w", errors="backslashreplace")  # noqa: SIM115 - for as long as the process lives
        sys.stderr = open(2, "w", errors="backslashreplace")  # noqa: SIM115
        os.chdir(folder / "cwd")
        os.environ["TMPDIR"] = str(folder / "tmp")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        # So that a claim of terabytes fails here and takes nothing else with it.
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (8 << 30),) * 2)
        status = function()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def judge(
    what: str,
    ended: Ended,
    folder: Path,
    allowed: Iterable[int] = (0, 2),
    most_megabytes: float = 4000,
    may_make: Iterable[str] = (),
) -> None:
    """Raise a `FaultError` for what no command may do, whatever it was given.

    Args:
        what: was done to it, for the message.
        ended, folder: what `in_child` returned, and was given.
        allowed: exit statuses.
        most_megabytes: at its peak.
        may_make: names of what may lie where it stood.
    """
    said = ended.err.rstrip()
    lines = [line for line in said.splitlines() if not line.startswith(("warning: ", "downloading from "))]
    # PyTorch makes a folder of its own.
    left = [name for name in os.listdir(folder / "tmp") if not name.startswith("torch")]
    left += set(os.listdir(folder / "cwd")) - {*may_make}
    faults = {
        "it hangs": ended.status == -signal.SIGALRM,
        f"exit status {ended.status}": "Traceback" in said or ended.status not in allowed,
        f"{len(lines)} lines on stderr with exit status {ended.status}": len(lines) != (ended.status != 0),
        f"it took {ended.megabytes:.0f} MB of {most_megabytes:.0f}": ended.megabytes > most_megabytes,
        f"it leaves {left} behind": left,
    }
    for fault in (fault for fault, found in faults.items() if found):
        raise FaultError(f"{what}: {fault}: {said}", lines[-1] if "Traceback" in said else fault)
