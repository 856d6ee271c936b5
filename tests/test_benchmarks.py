import json

import pytest
import torch

from benchmarks import peers, process, sizes, speed, sweep, textbook
from d2l_softmax import MODES, Dataset
from d2l_softmax.data.catalogue import DataUnavailableError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr(speed, "PAUSE", 0)
    monkeypatch.setattr(speed, "TURN", 1e-9)


@pytest.fixture
def tiny(blobs):
    images, labels = blobs
    return Dataset("tiny", images[:600], labels[:600], images[600:], labels[600:], ("a", "b", "c", "d"))


def test_contestants_take_turns_after_an_epoch_that_does_not_count():
    turns = []
    seconds = speed.interleaved({name: lambda name=name: turns.append(name) for name in "ab"}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_every_ratio_is_one_of_medians():
    result = speed.summary({"scratch": [1.0, 4.0, 2.0], "textbook": [30.0, 60.0, 90.0], "floor": [0.5, 1.0, 9.0]})
    assert result["seconds"] == {"scratch": 2.0, "textbook": 60.0, "floor": 1.0}
    assert result["ratios"]["scratch"] == {"textbook": 30.0, "floor": 0.5}
    assert result["ratios"]["textbook"] == {"scratch": 1 / 30, "floor": 1 / 60}


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


def test_rates_together_and_one_after_another_are_the_same_training(tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sweep, "RATES", [0.1, 0.2, 0.4])
    one_by_one = sweep.one_after_another("manual", tiny)()
    for result, expected in zip(sweep.together("manual", tiny)(), one_by_one, strict=True):
        assert result.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
    monkeypatch.setattr(sweep, "load_dataset", lambda *_: tiny)
    assert sweep.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "sweep.json").read_text())
    assert set(result["modes"]) == set(MODES)
    assert f"{result['modes']['scratch']['ratios']['together']['one after another']:.2f}×" in capsys.readouterr().out


def test_sizes_are_measured_and_written(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sizes, "SHAPES", ((7, 3, 5, 50), (100, 10, 28, 50)))
    assert sizes.main(["--rounds", "1", "--images", "1000", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "sizes.json").read_text())
    (grown,) = result["growth"]
    assert grown["bytes"] == 1000 * 28 * 28
    assert grown["ratio"] > 0
    shapes = [(row["batch_size"], row["classes"], row["side"]) for row in result["shapes"]]
    assert shapes == [(7, 3, 5), (100, 10, 28)]
    assert (tmp_path / "sizes.md").read_text().strip() == capsys.readouterr().out.strip()


def test_processes_are_timed_to_their_end_and_to_the_line_of_the_first_epoch(monkeypatch):
    clock = iter([10.0, 13.0, 17.0, 20.0, 27.0, 30.0, 31.0])
    monkeypatch.setattr(process.time, "perf_counter", lambda: next(clock))
    printed = (
        "print('headline'); print('    1      0.78     0.500'); print('    2      0.57     0.250'); print('done')"
    )
    assert process._seconds(["-c", printed]) == (7.0, 3.0, 0.75)
    assert process._seconds(["-c", "print('nothing')"]) == (7.0, None, 0.0)
    with pytest.raises(RuntimeError, match="3"):
        process._seconds(["-c", "raise SystemExit(3)"])


def test_ratios_of_processes_are_of_medians(tiny, monkeypatch, capsys, tmp_path):
    def seconds(command):
        if "--lr" in command:
            return (6.0 if "--no-figures" in command else 9.0), None, 0.0
        return {"-c": (2.0, None, 0.0), "train.py": (6.0, 3.0, 1.0)}.get(command[0], (60.0, None, 0.0))

    monkeypatch.setattr(process, "load_dataset", lambda *_: tiny)
    monkeypatch.setattr(process, "_seconds", seconds)
    assert process.main(["--rounds", "2", "--out", str(tmp_path)]) == 0
    ratios = json.loads((tmp_path / "process.json").read_text())["ratios"]
    assert list(ratios.values()) == [10.0, 1.5, 2.0, 1.5]


def test_the_modes_are_measured_alone_and_beside_busy_processes(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "load_dataset", lambda *_: tiny)
    assert speed.main(["--rounds", "1", "--busy", "1", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "speed-busy.json").read_text())
    assert result["processes"] == 1
    for name in MODES:
        assert result["ratios"][name] == result["beside"][name] / result["alone"][name] > 0


def test_the_textbook_script_trains(tmp_path, capsys):
    images = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    labels = torch.arange(40) % 2
    images[labels == 1, :, :14] = 255
    peers.extract(Dataset("halves", images, labels, images, labels, ("a", "b")), tmp_path)
    textbook.main(str(tmp_path), 2)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[1] < losses[0] < 2.5


def test_missing_data_and_no_rounds_are_one_line(tmp_path, capsys, monkeypatch):
    def unreachable(*_):
        raise DataUnavailableError("no network")

    monkeypatch.setattr("d2l_softmax.data.datasets.fetch", unreachable)
    for benchmark in (speed, process, sweep):
        for arguments, message in (([], "no network"), (["--rounds", "0"], "--rounds must be a whole number of at")):
            assert benchmark.main(["--data-dir", str(tmp_path), *arguments]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert message in line
