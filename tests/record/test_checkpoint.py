import io
from pathlib import Path

import pytest
import torch

from d2l_softmax import EpochResult, UserError
from d2l_softmax.experiment.run import Run, data_and_device
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.record.checkpoint import CHECKPOINT, load, save

HISTORY = [EpochResult(1, 0.5, 0.25, 1 / 3, 0.5, 0.1), EpochResult(2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]


@pytest.fixture
def run(tmp_path):
    """A function that makes a run in the folder of the test."""

    def run(seed=0):
        settings = Settings(dataset="digits", device="cpu", momentum=0.9, seed=seed)
        made = Run(settings, *data_and_device(settings))
        made.folder = tmp_path
        return made

    return run


def test_weights_random_states_and_results_are_restored(tmp_path, run):
    one, other = run(), run(seed=5)
    other.identity = one.identity
    assert load(tmp_path) is None
    for one.history in (HISTORY[:1], HISTORY):
        save(tmp_path, one.state())
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    drawn = torch.rand(3)
    other.restore(load(tmp_path))
    assert other.history == HISTORY
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(next(iter(other.iterators["train"]))[1], next(iter(one.iterators["train"]))[1])
    assert torch.equal(other.learner.W, one.learner.W)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("it-was-run"),)


def as_file(state, **options):
    file = io.BytesIO()
    torch.save(state, file, **options)
    return file.getvalue()


FOREIGN = {
    "code": as_file({"history": [], "W": Evil()}),
    "code in an old format": as_file(Evil(), _use_new_zipfile_serialization=False),
    "another dict": as_file({"weight": torch.zeros(3)}),
    "text": b"hello",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused_and_nothing_in_them_is_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path, marker = tmp_path / CHECKPOINT, tmp_path / "it-was-run"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(UserError, match=f"^{path} is damaged or of another kind"):
        load(tmp_path)
    assert not marker.exists()
    if "code" in kind:  # which would run otherwise
        torch.load(path, weights_only=False)
        assert marker.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": {}}, "is of another run: they differ in .*seed"),
        ({"W": torch.zeros(7, 3)}, "is damaged or of another kind"),
        ({"updater": {"nonsense": 1}}, "is damaged or of another kind"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, run, change, message):
    with pytest.raises(UserError, match=rf"^{tmp_path / CHECKPOINT} {message}"):
        run().restore(run().state() | change)


def test_a_changed_byte_or_a_lost_end_is_found(tmp_path):
    save(tmp_path, {"W": torch.full((7, 3), 3.0), "history": HISTORY})
    whole = (tmp_path / CHECKPOINT).read_bytes()
    at = whole.index(torch.full((6,), 3.0).numpy().tobytes())
    for content in (whole[:at] + b"\1" + whole[at + 1 :], whole[:-1], whole[: len(whole) // 2]):
        (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            load(tmp_path)
