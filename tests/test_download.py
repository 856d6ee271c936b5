"""Downloads from a server on this machine whose mirrors fail in every way a mirror has been seen to fail."""

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from d2l_softmax import download as module
from d2l_softmax.data import load_dataset
from d2l_softmax.download import DownloadError, download
from d2l_softmax.errors import UserError
from tests.idx_files import STEMS, TEST_IMAGES, TRAIN_IMAGES, make_folder, publish, resources

NAME = "train-images-idx3-ubyte.gz"
BODY = np.random.default_rng(0).bytes(200_000)
MD5 = hashlib.md5(BODY).hexdigest()

# Seconds after which the test gives up waiting, far beyond what a download should take.
LONG = 120


class Mirrors:
    """A server with one mirror a way of failing, each serving `files`; `requests` lists the paths asked for.

    The mirrors that make their clients wait do so until `released` is set.
    """

    def __init__(self):
        self.files = {NAME: BODY}
        self.requests: list[str] = []
        self.released = threading.Event()
        mirrors = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirrors.requests.append(self.path)
                _, mirror, name = self.path.split("/")
                with suppress(OSError):  # the client has given up, which is what it should do
                    getattr(mirrors, mirror)(self, mirrors.files[name])

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __call__(self, mirror: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{mirror}/"

    def asked(self, mirror: str) -> int:
        return sum(path.startswith(f"/{mirror}/") for path in self.requests)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def head(self, handler, length: int):
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()

    def good(self, handler, body: bytes):
        self.head(handler, len(body))
        handler.wfile.write(body)

    def busy(self, handler, body: bytes):
        handler.send_error(503)

    def forbidden(self, handler, body: bytes):
        handler.send_error(403)

    def hangs_up(self, handler, body: bytes):
        pass

    def corrupt(self, handler, body: bytes):
        self.good(handler, body[:-1] + bytes([body[-1] ^ 1]))

    def cut_off(self, handler, body: bytes):
        self.head(handler, len(body))
        handler.wfile.write(body[: len(body) // 2])

    def web_page(self, handler, body: bytes):
        self.good(handler, b"<html>Log in to use this network</html>")

    def silent(self, handler, body: bytes):
        self.released.wait(LONG)

    def late(self, handler, body: bytes):
        self.released.wait(LONG)
        self.good(handler, body)

    def stalls(self, handler, body: bytes):
        self.head(handler, len(body))
        handler.wfile.write(body[: len(body) // 2])
        self.released.wait(LONG)

    def drips(self, handler, body: bytes):
        self.head(handler, len(body))
        for byte in body:
            handler.wfile.write(bytes([byte]))
            if self.released.wait(0.01):
                break

    def steady(self, handler, body: bytes):
        """Takes longer than the client's patience, but delivers 12,000 bytes in each tenth of it."""
        self.deliver(handler, body, 12_000)

    def slow(self, handler, body: bytes):
        """Takes three times the client's patience over the first 32 KiB, without ever pausing."""
        self.deliver(handler, body, 1000)

    def deliver(self, handler, body: bytes, step: int):
        self.head(handler, len(body))
        for start in range(0, len(body), step):
            handler.wfile.write(body[start : start + step])
            time.sleep(module.PATIENCE / 10)


# What the reason for giving up each mirror says.
REASONS = {
    "busy": "503",
    "forbidden": "403",
    "hangs_up": "",
    "corrupt": "corrupted",
    "cut_off": "",
    "web_page": "corrupted",
    "silent": "does not answer",
    "stalls": "stopped sending",
    "drips": "",
}

each_bad_mirror = pytest.mark.parametrize("bad", REASONS)


@pytest.fixture
def mirrors(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    monkeypatch.setattr(module, "PATIENCE_BETWEEN", 0.5)
    monkeypatch.setenv("no_proxy", "*")
    mirrors = Mirrors()
    yield mirrors
    mirrors.close()


@pytest.fixture
def fashion(tmp_path, monkeypatch, mirrors) -> Callable[[str, str], dict[str, np.ndarray]]:
    """Let Fashion-MNIST's two mirrors be the named ones, and give what they serve."""

    def arrange(first: str, second: str) -> dict[str, np.ndarray]:
        source = tmp_path / "served"
        arrays = make_folder(source, 60, 20, 10, 28)
        mirrors.files = {path.name: path.read_bytes() for path in source.iterdir()}
        served = (mirrors(first), mirrors(second))
        publish(monkeypatch, "fashion-mnist", mirrors=served, resources=resources(source))
        return arrays

    return arrange


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_good_mirror(tmp_path, mirrors):
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    download(NAME, MD5, [mirrors("good"), mirrors("busy")], folder)
    assert (folder / NAME).read_bytes() == BODY
    assert contents(folder) == [NAME]
    assert not mirrors.asked("busy")


@each_bad_mirror
def test_after_a_bad_mirror_comes_the_next(tmp_path, mirrors, bad):
    start = time.monotonic()
    download(NAME, MD5, [mirrors(bad), mirrors("good")], tmp_path)
    assert time.monotonic() - start < LONG / 2
    assert mirrors.asked(bad)
    assert (tmp_path / NAME).read_bytes() == BODY
    assert contents(tmp_path) == [NAME]


@each_bad_mirror
def test_a_bad_mirror_alone_leaves_nothing_behind(tmp_path, mirrors, bad):
    start = time.monotonic()
    with pytest.raises(DownloadError) as error:
        download(NAME, MD5, [mirrors(bad)], tmp_path)
    assert time.monotonic() - start < LONG / 2
    assert contents(tmp_path) == []
    message = str(error.value)
    assert len(message.splitlines()) == 1
    reason = message.removeprefix(f"{mirrors(bad)}: ")
    assert reason != message
    assert reason
    assert REASONS[bad] in reason


def test_every_mirror_is_named_with_its_reason(tmp_path, mirrors):
    bad = ["busy", "silent", "corrupt"]
    with pytest.raises(DownloadError) as error:
        download(NAME, MD5, [mirrors(mirror) for mirror in bad], tmp_path)
    parts = str(error.value).split("; ")
    for mirror, part in zip(bad, parts, strict=True):
        assert part.startswith(f"{mirrors(mirror)}: ")
        assert REASONS[mirror] in part


def test_nothing_listens_at_the_mirror(tmp_path, mirrors):
    closed = Mirrors()
    closed.close()
    download(NAME, MD5, [closed("good"), mirrors("good")], tmp_path)
    assert contents(tmp_path) == [NAME]


@pytest.mark.parametrize("mirror", ["late", "stalls"])
def test_a_mirror_that_wakes_up_too_late_changes_nothing(tmp_path, mirrors, mirror):
    before = set(threading.enumerate())
    with pytest.raises(DownloadError):
        download(NAME, MD5, [mirrors(mirror)], tmp_path)
    left = set(threading.enumerate()) - before
    assert left
    mirrors.released.set()
    for thread in left:
        thread.join(LONG)
        assert not thread.is_alive()
    assert contents(tmp_path) == []


def test_a_mirror_that_keeps_delivering_is_waited_for(tmp_path, mirrors, monkeypatch):
    # Long enough for a machine that is busy with other things between two pieces.
    monkeypatch.setattr(module, "PATIENCE", 2.0)
    monkeypatch.setattr(module, "PATIENCE_BETWEEN", 2.0)
    start = time.monotonic()
    download(NAME, MD5, [mirrors("steady")], tmp_path)
    assert time.monotonic() - start > module.PATIENCE
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_mirror_that_answers_at_once_may_take_its_time_over_the_first_piece(tmp_path, mirrors, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_BETWEEN", LONG)
    mirrors.files[NAME] = BODY[:40_000]
    download(NAME, hashlib.md5(BODY[:40_000]).hexdigest(), [mirrors("slow")], tmp_path)


def test_an_older_copy_is_replaced_only_by_a_checked_one(tmp_path, mirrors):
    (tmp_path / NAME).write_bytes(b"older")
    with pytest.raises(DownloadError):
        download(NAME, MD5, [mirrors("corrupt")], tmp_path)
    assert (tmp_path / NAME).read_bytes() == b"older"
    download(NAME, MD5, [mirrors("good")], tmp_path)
    assert (tmp_path / NAME).read_bytes() == BODY


# Permission bits would not stop tests that run as root.
@pytest.mark.parametrize("below", ["", "folder", "folder/raw"])
def test_folder_that_cannot_be_written_to(tmp_path, mirrors, below):
    (tmp_path / "file").write_bytes(b"kept")
    folder = tmp_path / "file" / below
    with pytest.raises(UserError) as error:
        download(NAME, MD5, [mirrors("good"), mirrors("good")], folder)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert str(folder) in message
    assert "cannot write" in message
    assert (tmp_path / "file").read_bytes() == b"kept"


@pytest.mark.parametrize("fault", ["folder's name too long", "a folder where the file goes"])
def test_a_fault_of_the_folder_is_not_blamed_on_the_mirrors(tmp_path, mirrors, fault):
    folder = tmp_path / ("x" * 300 if "name" in fault else "raw")
    if "name" not in fault:
        (folder / NAME).mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write"):
        download(NAME, MD5, [mirrors("good")], folder)


def test_downloading_is_announced_on_stderr_only(tmp_path, mirrors, capsys):
    download(NAME, MD5, [mirrors("busy"), mirrors("good")], tmp_path)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"downloading {mirrors(mirror)}{NAME}" for mirror in ("busy", "good")]


@pytest.mark.parametrize("first", ["good", "busy", "silent", "corrupt"])
def test_data_set_is_downloaded_once(tmp_path, mirrors, fashion, first):
    arrays = fashion(first, "good")
    data = tmp_path / "data"
    dataset = load_dataset("fashion-mnist", data)
    assert torch.equal(dataset.train_images[:, 0], torch.from_numpy(arrays[TRAIN_IMAGES]))
    assert torch.equal(dataset.test_images[:, 0], torch.from_numpy(arrays[TEST_IMAGES]))
    assert contents(data / "FashionMNIST" / "raw") == sorted(f"{stem}.gz" for stem in STEMS)
    assert bool(mirrors.asked("busy" if first == "good" else first)) == (first != "good")
    mirrors.requests.clear()
    assert load_dataset("fashion-mnist", data).checksum() == dataset.checksum()
    assert mirrors.requests == []


def test_data_set_is_completed_from_what_is_missing(tmp_path, mirrors, fashion):
    fashion("good", "good")
    data = tmp_path / "data"
    served = dict(mirrors.files)
    last = f"{STEMS[-1]}.gz"
    mirrors.files[last] = b"damaged on the server"
    with pytest.raises(UserError, match="corrupted"):
        load_dataset("fashion-mnist", data)
    assert contents(data / "FashionMNIST" / "raw") == sorted(f"{stem}.gz" for stem in STEMS[:-1])
    mirrors.files = served
    mirrors.requests.clear()
    load_dataset("fashion-mnist", data)
    assert set(mirrors.requests) == {f"/good/{last}"}


def test_data_set_without_a_working_mirror(tmp_path, mirrors, fashion):
    fashion("busy", "forbidden")
    data = tmp_path / "data"
    with pytest.raises(UserError) as error:
        load_dataset("fashion-mnist", data)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    for part in (str(data), mirrors("busy"), "503", mirrors("forbidden"), "403"):
        assert part in message
    with pytest.warns(UserWarning, match="503"):
        assert load_dataset("auto", data).name == "digits"
    assert contents(data / "FashionMNIST" / "raw") == []


@pytest.mark.parametrize("name", ["fashion-mnist", "auto"])
def test_data_folder_that_cannot_be_written_to(tmp_path, fashion, name):
    fashion("good", "good")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        load_dataset(name, tmp_path / "file")
