import io
from pathlib import Path

import pytest
import torch

from d2l_softmax import MODES, EpochResult, UserError
from d2l_softmax.record.checkpoint import CHECKPOINT, load, restore, save

IDENTITY = {"lr": 0.1, "data": "sha"}
HISTORY = [EpochResult(1, 0.5, 0.25, 1 / 3, 0.5, 0.1), EpochResult(2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)]


def learner(mode="scratch", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return MODES[mode](6, 3, lr=0.1, momentum=0.9, generator=generator, device=torch.device("cpu"))


@pytest.mark.parametrize("mode", MODES)
def test_a_learner_is_restored_whole(tmp_path, mode):
    one, generator = learner(mode), torch.Generator().manual_seed(7)
    X, y = torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1])

    def step(learner):
        learner.updater.zero_grad()
        learner.backward(learner.net, learner.loss, learner.loss(learner.net(X), y))
        learner.updater.step()

    assert load(tmp_path) is None
    step(one)
    torch.randperm(9, generator=generator)
    for history in (HISTORY[:1], HISTORY):
        save(tmp_path, one, generator, history, IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    drawn = torch.rand(3)
    other, restored = learner(mode, seed=5), torch.Generator()
    assert restore(load(tmp_path), tmp_path, other, restored, IDENTITY) == HISTORY
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(torch.randperm(9, generator=restored), torch.randperm(9, generator=generator))
    # Equal after another step, so their velocities are equal too.
    for _ in range(2):
        assert torch.equal(other.W, one.W)
        assert torch.equal(other.b, one.b)
        step(one)
        step(other)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("it-was-run"),)


def as_file(state, **options):
    file = io.BytesIO()
    torch.save(state, file, **options)
    return file.getvalue()


FOREIGN = {
    "code": lambda: as_file({"history": [], "W": Evil()}),
    "code in an old format": lambda: as_file(Evil(), _use_new_zipfile_serialization=False),
    "another dict": lambda: as_file({"weight": torch.zeros(3)}),
    "a list": lambda: as_file([1, 2, 3]),
    "text": lambda: b"hello",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused_and_nothing_in_them_is_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path, marker = tmp_path / CHECKPOINT, tmp_path / "it-was-run"
    path.write_bytes(FOREIGN[kind]())
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
        ({"identity": {"lr": 0.1}}, "is of another run: they differ in data"),
        ({"W": torch.zeros(7, 3)}, "is damaged or of another kind"),
        ({"updater": {"nonsense": 1}}, "is damaged or of another kind"),
        ({"order": torch.zeros(3)}, "is damaged or of another kind"),
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
