"""Downloads from a server on this machine whose mirrors fail in the ways that mirrors fail."""

import gc
import hashlib
import shutil
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import pytest
import torchvision
from filelock import FileLock

from d2l_softmax.data.catalogue import SOURCES, DataUnavailableError, find_or_download
from tests.idx_files import STEMS, TEST_IMAGES, TEST_LABELS, make_folder, snapshot
from tests.processes import PATIENCE

# How each mirror answers a request for a file, and what is said of it if it fails.
MIRRORS = {
    "good": (lambda request, file: request.send(file), None),
    "half": (lambda request, file: None if "/t10k-" in request.path else request.send(file), None),
    "forbidden": (lambda request, file: request.send_error(403), None),
    "busy": (lambda request, file: request.send_error(503), "503"),
    "corrupt": (lambda request, file: request.send(file[:-1] + bytes([file[-1] ^ 1])), "corrupted"),
    "cut_off": (lambda request, file: request.send(file[:200], len(file)), "."),
    # Reading from a request waits until the client hangs up.
    "stalls": (lambda request, file: (request.send(file[:200], len(file)), request.rfile.read()), "timed out"),
}


class Request(BaseHTTPRequestHandler):
    timeout = PATIENCE

    def do_GET(self):
        _, mirror, name = self.path.split("/")
        self.server.requested.append(name)
        MIRRORS[mirror][0](self, self.server.files[name])

    def send(self, body: bytes, promised: int | None = None):
        self.send_response(200)
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args): ...


class Mirrors(ThreadingHTTPServer):
    """A server of a small Fashion-MNIST."""

    def handle_error(self, *args): ...  # the client has given up

    def url(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{mirror}/"

    def publish(self, first: str, second: str):
        """Let these be the mirrors of Fashion-MNIST."""
        self.monkeypatch.setitem(SOURCES, "fashion-mnist", SOURCES["fashion-mnist"]._replace(mirror=self.url(first)))
        self.monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [self.url(second)])
        self.monkeypatch.setattr("d2l_softmax.data.catalogue.TIMEOUT", 1.4 if first == "stalls" else PATIENCE)


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    make_folder(tmp_path / "served", 60, 20, 10, 28)
    files = {f"{stem}.gz": (tmp_path / "served" / f"{stem}.gz").read_bytes() for stem in STEMS}
    resources = [(name, hashlib.md5(file).hexdigest()) for name, file in files.items()]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", resources)
    mirrors = Mirrors(("127.0.0.1", 0), Request)
    mirrors.files, mirrors.requested, mirrors.monkeypatch = files, [], monkeypatch
    threading.Thread(target=mirrors.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield mirrors
    mirrors.shutdown()
    mirrors.server_close()
    with warnings.catch_warnings():
        # Answers that urllib raises as errors keep their connections until they are collected, in any later test.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def data(tmp_path):
    return tmp_path / "new" / "data"


def assert_complete(data, mirrors):
    assert sorted(path.name for path in data.iterdir()) == [".fashion-mnist.lock", "FashionMNIST"]
    assert {path.name: path.read_bytes() for path in (data / "FashionMNIST" / "raw").iterdir()} == mirrors.files


@pytest.mark.parametrize("bad", [mirror for mirror, (_, reason) in MIRRORS.items() if reason])
def test_a_bad_mirror_leaves_nothing_behind_and_is_followed_by_the_next(data, mirrors, capsys, bad):
    mirrors.publish(bad, "forbidden")
    reasons = rf"\({mirrors.url(bad)}: .*{MIRRORS[bad][1]}.*; {mirrors.url('forbidden')}: .*403.*\)"
    with pytest.raises(DataUnavailableError, match=rf"\Afashion-mnist is not in {data}.*{reasons}.* data_dir=\Z"):
        find_or_download("fashion-mnist", data)
    assert [path.name for path in data.iterdir()] == [".fashion-mnist.lock"]
    capsys.readouterr()
    mirrors.publish(bad, "good")
    find_or_download("fashion-mnist", data)
    assert_complete(data, mirrors)
    assert capsys.readouterr() == ("", "".join(f"downloading from {mirrors.url(m)}\n" for m in (bad, "good")))


def test_a_killed_download_changes_nothing_and_what_it_left_is_used_and_removed(data, mirrors, monkeypatch):
    raw = data / "FashionMNIST" / "raw"
    make_folder(raw, 60, 20, 10, 28)
    (raw / f"{TEST_LABELS}.gz").unlink()
    before = snapshot(raw)
    mirrors.publish("half", "cut_off")
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *args, **kwargs: None)
        with pytest.raises(DataUnavailableError):
            find_or_download("fashion-mnist", data)
    assert snapshot(raw) == before
    mirrors.requested.clear()
    mirrors.publish("good", "busy")
    find_or_download("fashion-mnist", data)
    assert_complete(data, mirrors)
    assert set(mirrors.requested) == {f"{TEST_IMAGES}.gz", f"{TEST_LABELS}.gz"}


def test_a_download_that_waited_for_another_is_not_needed(data, mirrors):
    data.mkdir(parents=True)
    mirrors.publish("busy", "busy")
    with ThreadPoolExecutor(1) as pool, FileLock(data / ".fashion-mnist.lock"):
        waiting = pool.submit(find_or_download, "fashion-mnist", data)
        time.sleep(0.2)  # so that it has begun; if not, the outcome is the same
        make_folder(data / "FashionMNIST" / "raw", 60, 20, 10, 28)
    assert len(waiting.result()) == 4
    assert not mirrors.requested


@pytest.mark.parametrize("cause", [OSError, KeyboardInterrupt])
def test_a_full_disk_or_an_interrupt_ends_the_download(data, mirrors, monkeypatch, cause):
    monkeypatch.setattr(torchvision.datasets.utils, "_urlretrieve", Mock(side_effect=cause("No space left")))
    mirrors.publish("good", "busy")
    with pytest.raises((DataUnavailableError, KeyboardInterrupt), match="No space left"):
        find_or_download("fashion-mnist", data)
    assert [path.name for path in data.iterdir()] == [".fashion-mnist.lock"]
