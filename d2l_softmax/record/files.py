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
    finally:
        partial.unlink(missing_ok=True)


class CsvFile:
    """A table under a line of column names, complete after every row that is added."""

    def __init__(self, path: Path, names: Iterable[str], rows: Iterable[Iterable] = ()):
        self.path = path
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\n").writerows([names, *rows])
        replace(path, buffer.getvalue().encode())

    def add(self, row: Iterable) -> None:
        """Add one line.

        Raises:
            OSError: the file has been removed, or cannot be written.
        """
        with self.path.open("r+", newline="", encoding="utf-8") as file:
            file.seek(0, io.SEEK_END)
            csv.writer(file, lineterminator="\n").writerow(row)
