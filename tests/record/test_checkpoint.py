import io
from pathlib import Path

import pytest
import torch

from d2l_softmax import MODES, EpochResult, UserError
from d2l_softmax.record.checkpoint import CHECKPOINT, load, restore, save

IDENTITY = {"lr": 0.1, "data": "sha"}
HISTORY = [EpochResult(1, 0.5, 0.25, 1 / 3, 0.5, 0.1), EpochResult(2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]


def learner(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return MODES["scratch"](6, 3, lr=0.1, momentum=0.9, generator=generator, device=torch.device("cpu"))


def test_weights_random_states_and_results_are_restored(tmp_path):
    one, generator = learner(), torch.Generator().manual_seed(7)
    assert load(tmp_path) is None
    for history in (HISTORY[:1], HISTORY):
        save(tmp_path, one, generator, history, IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    drawn, other, restored = torch.rand(3), learner(seed=5), torch.Generator()
    assert restore(load(tmp_path), tmp_path, other, restored, IDENTITY) == HISTORY
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(torch.randperm(9, generator=restored), torch.randperm(9, generator=generator))
    assert torch.equal(other.W, one.W)


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
        ({"identity": IDENTITY | {"lr": 0.2}}, "is of another run: they differ in lr"),
        ({"W": torch.zeros(7, 3)}, "is damaged or of another kind"),
        ({"updater": {"nonsense": 1}}, "is damaged or of another kind"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    save(tmp_path, learner(), torch.Generator(), HISTORY, IDENTITY)
    with pytest.raises(UserError, match=rf"^{tmp_path / CHECKPOINT} {message}"):
        restore(load(tmp_path) | change, tmp_path, learner(), torch.Generator(), IDENTITY)


def test_a_changed_byte_or_a_lost_end_is_found(tmp_path):
    one = learner()
    one.W.fill_(3)
    save(tmp_path, one, torch.Generator(), HISTORY, IDENTITY)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    at = whole.index(torch.full((6,), 3.0).numpy().tobytes())
    for content in (whole[:at] + b"\1" + whole[at + 1 :], whole[:-1], whole[: len(whole) // 2]):
        (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            load(tmp_path)
