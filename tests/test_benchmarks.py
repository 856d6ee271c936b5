import json
from unittest.mock import Mock

import pytest
import torch

from benchmarks import peers, reproduce, speed, sweep, textbook
from d2l_softmax import MODES, Dataset, UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(blobs, monkeypatch):
    images, labels = blobs
    dataset = Dataset("tiny", images[:600], labels[:600], images[600:], labels[600:], ("a", "b", "c", "d"))
    for benchmark in (speed, sweep):
        monkeypatch.setattr(benchmark, "load_dataset", lambda *_: dataset)
    monkeypatch.setattr(speed, "PAUSE", 0)
    monkeypatch.setattr(speed, "TURN", 1e-9)
    return dataset


def test_contestants_take_turns_and_every_ratio_is_one_of_medians(tiny):
    turns = []
    seconds = speed.interleaved({name: lambda name=name: turns.append(name) for name in "ab"}, rounds=3)
    assert turns == ["a", "b"] * 4  # the first epoch of each does not count
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    result = speed.summary({"scratch": [1.0, 4.0, 2.0], "textbook": [30.0, 60.0, 90.0]})
    assert result["seconds"] == {"scratch": 2.0, "textbook": 60.0}
    assert result["ratios"] == {"scratch": {"textbook": 30.0}, "textbook": {"scratch": 1 / 30}}


def test_the_floor_and_numpy_train_as_the_modes_do(tiny):
    products = [lambda x, W: x @ W, lambda x, W: (W.T @ x.T).T]
    epochs = [peers.floor(tiny), *(peers._numpy_loop(tiny, product) for product in products)]
    manual = peers.mode("manual", tiny)
    for _ in range(2):
        (expected,) = manual()
        for epoch in epochs:
            assert epoch() == pytest.approx(expected[1:5], rel=1e-5)


def test_the_textbook_loop_reads_the_same_images_and_trains(tiny, tmp_path, capsys):
    peers.extract(tiny, tmp_path)
    X, y = next(iter(list(textbook.load(tmp_path, 256))[1]))
    assert torch.equal(X, tiny.test_images.float() / 255)
    assert torch.equal(y, tiny.test_labels)
    halves = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    halves[::2, :, :14] = 255
    labels = torch.arange(40) % 2
    peers.extract(Dataset("halves", halves, labels, halves, labels, ("a", "b")), tmp_path / "halves")
    torch.manual_seed(0)
    textbook.main(str(tmp_path / "halves"), 2)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[1] < losses[0] < 2.5


def test_peers_run_an_epoch_and_those_that_are_not_installed_are_named(tiny, monkeypatch, capsys, tmp_path):
    measured = {name: peers.PEERS[name] for name in ("floor", "TensorDataset", "SGDClassifier")}
    monkeypatch.setattr(speed, "PEERS", measured | {"JAX scan": peers.jax_scan})
    monkeypatch.setattr(speed, "missing", lambda name: name == "JAX scan")
    assert speed.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "JAX scan         skipped: not installed" in capsys.readouterr().out
    result = json.loads((tmp_path / "speed.json").read_text())
    assert result["skipped"] == ["JAX scan"]
    assert set(result["seconds"]) == {*MODES, *measured}
    assert (tmp_path / "speed.png").stat().st_size > 1000


def test_the_modes_are_measured_alone_and_beside_busy_processes(tiny, tmp_path):
    assert speed.main(["--rounds", "1", "--busy", "1", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "speed-busy.json").read_text())
    assert result["processes"] == 1
    for name in MODES:
        assert result["ratios"][name] == result["beside"][name] / result["alone"][name] > 0


def test_rates_together_and_one_after_another_are_the_same_training(tiny, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sweep, "RATES", [0.1, 0.2, 0.4])
    one_by_one = sweep.one_after_another("manual", tiny)()
    for result, expected in zip(sweep.together("manual", tiny)(), one_by_one, strict=True):
        assert result.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
    assert sweep.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "sweep.json").read_text())
    assert set(result["modes"]) == set(MODES)
    assert f"{result['modes']['scratch']['ratios']['together']['one after another']:.2f}×" in capsys.readouterr().out


@pytest.mark.parametrize(("benchmark", "count"), [(speed, "rounds"), (sweep, "rounds"), (reproduce, "seeds")])
def test_missing_data_and_no_rounds_are_one_line(tmp_path, capsys, monkeypatch, benchmark, count):
    monkeypatch.setattr("d2l_softmax.data.datasets.find_or_download", Mock(side_effect=UserError("no network")))
    for arguments, message in (([], "no network"), ([f"--{count}", "0"], f"--{count} must be a whole number of at")):
        assert benchmark.main(["--data-dir", str(tmp_path), *arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
