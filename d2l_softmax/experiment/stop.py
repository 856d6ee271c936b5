"""Ctrl-C and SIGTERM: stop where it is safe to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StoppedError(BaseException):
    """The program was asked to stop. Like KeyboardInterrupt, it is not an `Exception`."""


class Stop:
    """A block that SIGINT and SIGTERM end early, but never inside a `shield`.

    `signum` is the signal that did, or None. It is a context manager, for the main thread.
    """

    def __init__(self):
        self.signum: int | None = None
        self.shielded = False

    def __enter__(self) -> "Stop":
        self.before = {s: signal.signal(s, self._handle) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type | None, *_: object) -> bool:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)
        return kind is StoppedError

    def _handle(self, signum: int, frame: object) -> None:
        # Once is enough: a second signal must not interrupt the clean-up.
        first, self.signum = self.signum is None, signum
        if first and not self.shielded:
            raise StoppedError

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Postpone a stop until the block is done."""
        self.shielded = True
        try:
            yield
        finally:
            self.shielded = False
        if self.signum is not None:
            raise StoppedError
