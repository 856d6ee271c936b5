"""Ctrl-C and SIGTERM: stop where it is safe to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StoppedError(BaseException):
    """Somebody asked the program to stop. Like KeyboardInterrupt, it is not an `Exception`."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Stop:
    """While it is open, SIGINT and SIGTERM raise `StoppedError`, but never inside a `shield`."""

    def __init__(self):
        self.shielded = False
        self.pending: int | None = None

    def __enter__(self) -> "Stop":
        self.before = {s: signal.signal(s, self._handle) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc_info: object) -> None:
        for signum, handler in self.before.items():
            signal.signal(signum, handler)

    def _handle(self, signum: int, frame: object) -> None:
        if self.shielded:
            self.pending = signum
        else:
            self._raise(signum)

    def _raise(self, signum: int) -> None:
        # Once is enough: a second signal must not interrupt what is being put in order.
        self.shielded = True
        raise StoppedError(signum)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Put off a stop until the block is done."""
        self.shielded = True
        try:
            yield
        finally:
            self.shielded = False
        if self.pending is not None:
            self._raise(self.pending)
