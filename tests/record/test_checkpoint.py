import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2l_softmax import MODES, EpochResult, UserError
from d2l_softmax.record.checkpoint import LAST, PREVIOUS, load, load_good, load_last, restore, save


def results(count):
    return [EpochResult(epoch, 1 / epoch, 0.5, 1.0, 0.5, 0.1) for epoch in range(1, count + 1)]


def learner(mode="scratch", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return MODES[mode](6, 3, lr=0.1, momentum=0.9, generator=generator, device=torch.device("cpu"))


@pytest.fixture
def written(tmp_path):
    """A folder with the checkpoints of three epochs, whose weights are full of 1, 2 and 3."""
    one = learner()
    for epoch in (1, 2, 3):
        one.W.fill_(epoch)
        save(tmp_path, one, torch.Generator().manual_seed(1), results(epoch))
    return tmp_path


def test_the_last_checkpoint_and_the_one_before_are_kept(written):
    kept = {path.name: load(path) for path in written.iterdir()}
    assert {name: (state["epoch"], state["W"][0, 0].item()) for name, state in kept.items()} == {
        LAST: (3, 3.0),
        PREVIOUS: (2, 2.0),
    }
    assert [path.name for _, path in load_good(written)] == [LAST, PREVIOUS]


@pytest.mark.parametrize("mode", MODES)
def test_a_learner_is_restored_whole(tmp_path, mode):
    one, generator = learner(mode), torch.Generator().manual_seed(7)
    X, y = torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1])

    def step(learner):
        learner.updater.zero_grad()
        learner.backward(learner.net, learner.loss, learner.loss(learner.net(X), y))
        learner.updater.step()

    step(one)
    torch.randperm(9, generator=generator)
    save(tmp_path, one, generator, results(1))
    random = torch.rand(3)
    other, restored = learner(mode, seed=5), torch.Generator()
    assert restore(*load_last(tmp_path), other, restored) == tuple(results(1))
    assert torch.equal(torch.rand(3), random)
    assert torch.equal(torch.randperm(9, generator=restored), torch.randperm(9, generator=generator))
    # Equal after another step, so their velocities are equal too.
    for _ in range(2):
        assert torch.equal(other.W, one.W)
        assert torch.equal(other.b, one.b)
        step(one)
        step(other)


def change_a_weight(content):
    at = content.find(torch.full((6,), 3.0).numpy().tobytes())
    assert at > 0
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("spoil", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", change_a_weight, None])
def test_the_one_before_takes_the_place_of_a_damaged_or_missing_checkpoint(written, spoil, recwarn):
    path = written / LAST
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    checkpoint, used = load_last(written)
    assert used == written / PREVIOUS
    assert checkpoint["W"][0, 0] == 2
    # The damaged one is not kept as the one before the next.
    assert restore(checkpoint, used, learner(), torch.Generator()) == tuple(results(2))
    assert [path.name for path in written.iterdir()] == [PREVIOUS]
    assert len(recwarn) == (spoil is not None)
    assert all(str(path) in str(said.message) and "after epoch 2" in str(said.message) for said in recwarn)


def test_damage_of_all_checkpoints_is_an_error_and_none_is_not(written, tmp_path_factory):
    for name in (LAST, PREVIOUS):
        (written / name).write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"\.pt is damaged"):
        load_last(written)
    assert load_last(tmp_path_factory.mktemp("empty")) is None


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_read(written, make):
    (written / LAST).unlink()
    make(written / LAST)
    with pytest.raises(UserError, match="it is not a file"):
        load(written / LAST)
    with pytest.warns(UserWarning, match="after epoch 2"):
        checkpoint, path = load_last(written)
    if make is Path.mkdir:
        with pytest.raises(UserError, match="cannot remove"):
            restore(checkpoint, path, learner(), torch.Generator())


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("it-was-run"),)


def as_zip(state, **options):
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save(state, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", **options) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return packed.getvalue()


def whole_state(**changes):
    """What a checkpoint holds, as far as its types."""
    state = dict.fromkeys(["W", "b", "order", "random"], torch.zeros(3))
    return {"epoch": 1, "updater": {}, "history": []} | state | changes


FOREIGN = {
    "code in a pickle": lambda: pickle.dumps(Evil()),
    "code in a zip": lambda: as_zip(whole_state(updater={0: Evil()})),
    "another dict": lambda: as_zip({"weight": torch.zeros(3)}),
    "a list": lambda: as_zip([1, 2, 3]),
    "another type": lambda: as_zip(whole_state(b=1)),
    "a bomb": lambda: as_zip(whole_state(W=torch.zeros(10**7)), compression=zipfile.ZIP_DEFLATED),
    "text": lambda: b"hello",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused_and_nothing_in_them_is_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path, marker = tmp_path / LAST, tmp_path / "it-was-run"
    path.write_bytes(FOREIGN[kind]())
    with pytest.raises(UserError) as error:
        load(path)
    assert len(str(error.value).splitlines()) == 1
    assert str(path) in str(error.value)
    assert not marker.exists()
    if "code" in kind:  # which would run otherwise
        torch.load(path, weights_only=False) if "zip" in kind else pickle.loads(path.read_bytes())
        assert marker.exists()


def test_a_file_with_the_types_of_a_checkpoint_is_read(tmp_path):
    (tmp_path / LAST).write_bytes(as_zip(whole_state()))
    assert load(tmp_path / LAST).keys() == whole_state().keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": torch.zeros(7, 3)}, "weights"),
        ({"W": torch.zeros(6, 3, dtype=torch.float64)}, "weights"),
        ({"b": torch.zeros(4)}, "weights"),
        ({"updater": {"nonsense": 1}}, "not one of this run"),
        ({"updater": {"velocities": [torch.zeros(6, 3), torch.zeros(())]}}, "not one of this run"),
        ({"history": [(1, *[None] * 7), *map(tuple, results(3)[1:])]}, "not one of this run"),
        ({"history": [(1, *"abcde"), *map(tuple, results(3)[1:])]}, "not one of this run"),
        ({"order": torch.zeros(3)}, "not one of this run"),
        ({"random": torch.zeros(3)}, "not one of this run"),
        ({"history": [(1,)]}, "not one of this run"),
        ({"epoch": 2}, "not one of this run"),
        ({"epoch": 10**30}, "not one of this run"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(written, change, message):
    checkpoint, path = load_last(written)
    with pytest.raises(UserError, match=message) as error:
        restore(checkpoint | change, path, learner(), torch.Generator())
    assert str(path) in str(error.value)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_bytes_crashes_the_reader_or_changes_the_weights(written, data):
    content = bytearray((written / PREVIOUS).read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = written / "changed.pt"
    path.write_bytes(content)
    try:
        state = load(path)
    except UserError:
        return
    # The change was in a byte that is not read, or changed nothing.
    assert torch.equal(state["W"], torch.full((6, 3), 2.0))
