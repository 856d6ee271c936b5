"""Fetching data sets: torchvision downloads and checks, from more than one mirror, and no attempt hangs."""

import errno
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

from d2l_softmax.errors import UserError

# Seconds until a mirror must have answered, and for each of the pieces of 32 KiB that torchvision writes.
PATIENCE = 5.0
PATIENCE_BETWEEN = 30.0


class DownloadError(Exception):
    """No mirror delivered the file; the message names each with its reason."""


def download(name: str, md5: str, mirrors: Sequence[str], folder: Path) -> None:
    """Fetch the file `name` into `folder` from the first of `mirrors` that delivers it with the right MD5.

    The file appears complete and checked or not at all.

    Raises:
        DownloadError: no mirror delivered it.
        UserError: `folder` cannot be written to.
    """
    reasons = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for mirror in mirrors:
            # Each has a place of its own, because one that was given up may still be writing.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".part-", ignore_cleanup_errors=True) as part:
                reason = _fetch(mirror + name, Path(part), name, md5)
                if reason is None:
                    os.replace(Path(part) / name, folder / name)
                    return
            reasons.append(f"{mirror}: {reason}")
    except OSError as error:
        raise UserError(
            f"cannot write the data set to {folder}: {error.strerror}; name another folder with --data-dir"
        ) from error
    raise DownloadError("; ".join(reasons))


def _fetch(url: str, folder: Path, name: str, md5: str) -> str | None:
    """Download one file and return why that failed, or None.

    It happens in a thread of its own, which is left behind when the mirror stalls. A time limit on sockets would not
    do: looking up a host name is not under it, and a server that sends one byte at a time never meets it.

    Raises:
        OSError: `folder` cannot be written to.
    """
    from torchvision.datasets.utils import download_url

    failures: list[Exception] = []

    def attempt() -> None:
        try:
            download_url(url, folder, name, md5)
        except Exception as error:
            failures.append(error)

    print(f"downloading {url}", file=sys.stderr)
    # torchvision draws a progress bar on stderr, which is for terminals only.
    with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        # torchvision makes the file when the mirror has answered.
        received, deadline = -1, time.monotonic() + PATIENCE
        while thread.is_alive():
            thread.join(0.05)
            path = folder / name
            size = path.stat().st_size if path.exists() else -1
            if size > received:
                received, deadline = size, time.monotonic() + PATIENCE_BETWEEN
            elif time.monotonic() > deadline:
                return "it does not answer" if received < 0 else "it has stopped sending"
    if not failures:
        return None
    (error,) = failures
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise error
    return " ".join(str(error).split()) or type(error).__name__
