import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2l_softmax import MODES, UserError
from d2l_softmax.checkpoint import BEST, LAST, PREVIOUS, Checkpoints, load, load_last, restore
from d2l_softmax.training import EpochResult

CPU = torch.device("cpu")


def result(epoch, train_loss=1.0, validation_loss=None):
    return EpochResult(
        epoch, train_loss, 0.5, 1.0, 0.5, 0.1, validation_loss, None if validation_loss is None else 0.5
    )


def learner(seed=0, num_inputs=6, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return MODES["scratch"](num_inputs, 3, lr=0.1, momentum=0.9, generator=generator, device=CPU, dtype=dtype)


@pytest.fixture
def written(tmp_path):
    """A folder with checkpoints of three epochs, whose weights are full of 1, 2 and 3."""
    one = learner()
    checkpoints = Checkpoints(tmp_path, one, torch.Generator().manual_seed(1))
    for epoch in (1, 2, 3):
        one.W.fill_(epoch)
        checkpoints(result(epoch, train_loss=abs(epoch - 2)))
    return tmp_path


def test_the_last_the_one_before_and_the_best_are_kept(written):
    assert {name: load(written / name)["W"][0, 0].item() for name in (LAST, PREVIOUS, BEST)} == {
        LAST: 3,
        PREVIOUS: 2,
        BEST: 2,
    }
    assert sorted(p.name for p in written.iterdir()) == sorted([LAST, PREVIOUS, BEST])


def test_the_best_is_chosen_by_validation_where_there_is_one(tmp_path):
    one = learner()
    checkpoints = Checkpoints(tmp_path, one, torch.Generator())
    for epoch, validation_loss in ((1, 3.0), (2, 1.0), (3, 2.0)):
        checkpoints(result(epoch, train_loss=-epoch, validation_loss=validation_loss))
    assert load(tmp_path / BEST)["epoch"] == 2


def test_checkpoints_are_written_when_due_and_the_rest_when_flushed(tmp_path):
    checkpoints = Checkpoints(tmp_path, learner(), torch.Generator(), every=2)
    checkpoints(result(1))
    assert not (tmp_path / LAST).exists()
    checkpoints(result(2))
    checkpoints(result(3))
    assert load(tmp_path / LAST)["epoch"] == 2
    checkpoints.flush()
    assert load(tmp_path / LAST)["epoch"] == 3


def test_a_learner_is_restored_whole(tmp_path):
    one, generator = learner(), torch.Generator().manual_seed(7)
    X, y = torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1])
    for _ in range(2):
        one.updater.zero_grad()
        one.backward(one.net, one.loss, one.loss(one.net(X), y))
        one.updater.step()
    torch.randperm(9, generator=generator)
    Checkpoints(tmp_path, one, generator)(result(1))
    random = torch.rand(3)
    other, restored = learner(seed=5), torch.Generator()
    checkpoint, path = load_last(tmp_path)
    restore(checkpoint, other, restored, path)
    assert torch.equal(other.W, one.W)
    assert torch.equal(other.b, one.b)
    assert all(map(torch.equal, other.updater.velocities, one.updater.velocities))
    assert torch.equal(torch.randperm(9, generator=restored), torch.randperm(9, generator=generator))
    assert torch.equal(torch.rand(3), random)


@pytest.mark.parametrize("spoil", ["cut short", "emptied", "changed", "removed"])
def test_a_damaged_last_checkpoint_is_left_for_the_one_before(written, spoil):
    path = written / LAST
    content = bytearray(path.read_bytes())
    if spoil == "removed":
        path.unlink()
        (checkpoint, used) = load_last(written)
    else:
        at = content.find(torch.full((6,), 3.0).numpy().tobytes())
        assert at > 0
        content[at] ^= 1
        path.write_bytes({"cut short": content[: len(content) // 2], "emptied": b"", "changed": content}[spoil])
        with pytest.warns(UserWarning, match=r"checkpoint\.pt.*after epoch 2"):
            (checkpoint, used) = load_last(written)
    assert used == written / PREVIOUS
    assert checkpoint["W"][0, 0] == 2


def test_when_all_are_damaged_that_is_the_error(written):
    for name in (LAST, PREVIOUS):
        (written / name).write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"\.pt is damaged"):
        load_last(written)


def test_no_checkpoint_yet_is_none(tmp_path):
    assert load_last(tmp_path) is None


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("it-was-run"),)


def as_zip(state, **options):
    plain = io.BytesIO()
    torch.save(state, plain)
    packed = io.BytesIO()
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", **options) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return packed.getvalue()


FOREIGN = {
    "code in a pickle": lambda: pickle.dumps(Evil()),
    "code in a zip": lambda: as_zip({"W": Evil()}),
    "another dict": lambda: as_zip({"weight": torch.zeros(3)}),
    "a list": lambda: as_zip([1, 2, 3]),
    "wrong types": lambda: as_zip(dict.fromkeys(["epoch", "W", "b", "updater", "order", "random", "history"], 1)),
    "a bomb": lambda: as_zip({"W": torch.zeros(10**7)}, compression=zipfile.ZIP_DEFLATED),
    "text": lambda: b"hello",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused_and_nothing_in_them_is_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / LAST
    path.write_bytes(FOREIGN[kind]())
    with pytest.raises(UserError) as error:
        load(path)
    assert len(str(error.value).splitlines()) == 1
    assert str(path) in str(error.value)
    assert not (tmp_path / "it-was-run").exists()


def test_a_checkpoint_of_another_model_is_refused(written):
    checkpoint, path = load_last(written)
    for other in (learner(num_inputs=7), learner(dtype=torch.float64)):
        with pytest.raises(UserError, match="weights"):
            restore(checkpoint, other, torch.Generator(), path)
    checkpoint["updater"] = {"nonsense": 1}
    with pytest.raises(UserError, match="not one of this run"):
        restore(checkpoint, learner(), torch.Generator(), path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_bytes_crashes_the_reader_or_changes_the_weights(written, data):
    whole = (written / PREVIOUS).read_bytes()
    path = written / "attacked.pt"
    if data.draw(st.booleans()):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    else:
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
    try:
        state = load(path)
    except UserError:
        return
    # What still reads, because a byte nobody looks at was changed or one was set to what it was, is unharmed.
    assert torch.equal(state["W"], torch.full((6, 3), 2.0))
