"""Files that are never found half-written."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Put `content` in place of a file, complete or not at all.

    It is written to a temporary file beside `path`, flushed to the disk and renamed.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        # That of a full disk names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def write_csv(path: Path, rows: Iterable[Iterable]) -> None:
    """Write a table in place of a file; the first row has the names of the columns."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    replace(path, buffer.getvalue().encode())


def append_csv(path: Path, row: Iterable) -> None:
    """Add a row to a table, which must exist."""
    with path.open("r+", newline="", encoding="utf-8") as file:
        file.seek(0, io.SEEK_END)
        csv.writer(file, lineterminator="\n").writerow(row)
