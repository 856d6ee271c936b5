import json

import pytest
import torch

from benchmarks import peers, speed
from d2l_softmax import MODES
from d2l_softmax.data import Dataset


@pytest.fixture
def tiny(blobs):
    images, labels = blobs
    return Dataset("tiny", images[:600], labels[:600], images[600:], labels[600:], ("a", "b", "c", "d"))


def test_contestants_take_turns_after_an_epoch_that_does_not_count(monkeypatch):
    monkeypatch.setattr(speed, "PAUSE", 0)
    monkeypatch.setattr(speed, "TURN", 1e-9)
    turns = []
    seconds = speed.interleaved({name: lambda name=name: turns.append(name) for name in "ab"}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_ratios_are_taken_round_by_round():
    # The machine is twice as slow in the second round; the ratio is the same in every round.
    result = speed.summary({"scratch": [1.0, 2.0, 1.0], "textbook": [30.0, 60.0, 30.0], "floor": [0.5, 1.0, 0.5]})
    assert result["ratios"] == {"scratch": {"textbook": 30.0, "floor": 0.5}}
    assert result["seconds"]["textbook"] == 30.0


@pytest.mark.parametrize("name", [name for name in peers.PEERS if name not in ("textbook", "JAX scan")])
def test_every_peer_runs_an_epoch(tiny, name):
    epoch = peers.PEERS[name](tiny)
    epoch()
    epoch()


def test_the_textbook_loop_reads_the_same_images(tiny, monkeypatch):
    seen = []
    monkeypatch.setattr(peers, "_plain_loop", lambda dataset, *loaders: seen.extend(loaders) or (lambda: None))
    peers.textbook(tiny)
    X, y = next(iter(seen[1]))
    assert torch.equal(X, tiny.test_images[: len(y)].float() / 255)
    assert torch.equal(y, tiny.test_labels[: len(y)])


def test_peers_that_are_not_installed_are_named(tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(speed, "load_dataset", lambda *_: tiny)
    monkeypatch.setattr(speed, "PEERS", {"floor": peers.floor, "JAX scan": peers.jax_scan})
    monkeypatch.setattr(speed, "missing", lambda name: name == "JAX scan")
    assert speed.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "JAX scan         skipped: not installed" in capsys.readouterr().out
    result = json.loads((tmp_path / "speed.json").read_text())
    assert result["skipped"] == ["JAX scan"]
    assert set(result["seconds"]) == {*MODES, "floor"}
    assert (tmp_path / "speed.png").stat().st_size > 1000


def test_missing_data_are_one_line(tmp_path, capsys, monkeypatch):
    from d2l_softmax import data, download

    def unreachable(*_):
        raise download.DownloadError("no network")

    monkeypatch.setattr(data, "download", unreachable)
    assert speed.main(["--data-dir", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
