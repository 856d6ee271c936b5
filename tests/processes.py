"""Processes that tests start, and waiting for what they do."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


class TensorBoard:
    """What to ask a TensorBoard server at `url`."""

    def __init__(self, url: str):
        self.url = url

    def __call__(self, path: str, post=None, **query):
        """The answer to a path, with what is to be posted where there is something; a JSON answer is parsed."""
        url = f"{self.url}/data/{path}?{urllib.parse.urlencode(query)}"
        body = None if post is None else json.dumps(post).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            content = response.read()
            return json.loads(content) if "json" in response.headers["Content-Type"] else content

    def has(self, plugin: str, tag: str, *runs: str) -> bool:
        """Whether the server, which reads in the background, has come to this tag in all of these runs."""
        tags = self(f"plugin/{plugin}/tags")
        return all(tag in tags.get(run, {}) for run in runs)

    def points(self, run: str, tag: str) -> list[list[float]]:
        """Time, step and value of every point of a curve."""
        return self("plugin/scalars/scalars", run=run, tag=tag)


@contextmanager
def tensorboard(logdir: Path) -> Iterator[TensorBoard]:
    """A TensorBoard server as a user starts it."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--host", "127.0.0.1", "--port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            found = (re.search(r"at (http://127\.0\.0\.1:\d+)", line) for line in server.stderr)
            match = next(filter(None, found), None)
            assert match, "TensorBoard did not start"
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield TensorBoard(match[1])
        finally:
            server.terminate()
