"""Processes that tests start, and waiting for what they do."""

import subprocess
import time
from collections.abc import Callable

# Seconds after which a test gives up, far beyond what anything takes on a machine that is busy with other things.
PATIENCE = 300


def wait_until(condition: Callable[[], bool], process: subprocess.Popen | None = None) -> None:
    """Wait for something that `process` does, which must not end before.

    Raises:
        AssertionError: it has ended, or has not done it in `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        if time.monotonic() > deadline:
            if process is not None:
                process.kill()
            raise AssertionError("waited in vain")
        time.sleep(0.05)
