"""Fetching data sets: torchvision downloads and checks, from more than one mirror, and no attempt hangs."""

import errno
import os
import sys
import tempfile
import threading
import time
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

from d2l_softmax.errors import UserError

# Tried before torchvision's own first mirror, which for Fashion-MNIST and KMNIST is plain HTTP.
HTTPS_MIRRORS = {
    "FashionMNIST": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "MNIST": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "KMNIST": "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
}

# A mirror that delivers less than a kilobyte in this time, in seconds, is given up.
PATIENCE = 5.0


class DownloadError(Exception):
    """No mirror delivered the file; the message names each with its reason."""


def download(name: str, md5: str, mirrors: list[str], folder: Path) -> None:
    """Fetch the file `name` into `folder` from the first of `mirrors` that delivers it with the right MD5.

    The file appears complete and checked or not at all.

    Raises:
        DownloadError: no mirror delivered it.
        UserError: `folder` cannot be written to.
    """
    reasons = []
    for mirror in mirrors:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".part-", ignore_cleanup_errors=True) as part:
                _fetch(mirror + name, Path(part), name, md5)
                os.replace(Path(part) / name, folder / name)
            return
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST):
                raise UserError(
                    f"cannot write the data set to {folder}: {error.strerror}; name another folder with --data-dir"
                ) from error
            reasons.append(f"{mirror}: {error}")
        except Exception as error:
            reasons.append(f"{mirror}: {' '.join(str(error).split()) or type(error).__name__}")
    raise DownloadError("; ".join(reasons))


def _fetch(url: str, folder: Path, name: str, md5: str) -> None:
    """Download one file in a thread of its own, and leave the thread behind when it stalls.

    A time limit on sockets would not do: looking up a host name is not under it, and a server that sends one byte at
    a time never meets it.
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
    with nullcontext() if sys.stderr.isatty() else redirect_stderr(open(os.devnull, "w")):
        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        received, deadline = 0, time.monotonic() + PATIENCE
        while thread.is_alive():
            thread.join(0.05)
            path = folder / name
            size = path.stat().st_size if path.exists() else 0
            if size >= received + 1024:
                received, deadline = size, time.monotonic() + PATIENCE
            elif time.monotonic() > deadline:
                raise TimeoutError(f"no data for {PATIENCE:g} seconds")
    if failures:
        raise failures[0]
