"""The error that a user can fix, and `reading`, which makes one of anything that a file can do wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class UserError(Exception):
    """Something is wrong with the input, the data or the machine, not with the program.

    Its message is one line that says what, where and what to do; the command line prints it on stderr and exits
    with status 2.
    """


@contextmanager
def reading(path: str | PathLike) -> Iterator[None]:
    """Parse a file, and nothing else, in this block: whatever goes wrong there is an error in the file.

    Raises:
        UserError: the block raised an exception; the message names the file.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        raise UserError(f"{path} is damaged or of another kind ({type(error).__name__}: {first_line})") from error
