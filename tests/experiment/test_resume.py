import functools
import pkgutil
import shlex
import shutil
import signal
import sys

import pytest

from d2l_softmax import MODES
from d2l_softmax.commands.train import main
from d2l_softmax.record.console import EpochTable
from d2l_softmax.record.run_folder import locked
from tests.idx_files import TEST_LABELS, make_folder, snapshot, write_idx
from tests.soak import outcome, rows

DIGITS = ["--dataset", "digits", "--batch-size", "64", "--momentum", "0.9", "--no-figures"]


@pytest.fixture(autouse=True)
def called_as_train(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])


def train(tmp_path, name, *arguments):
    return main([*DIGITS, *arguments, "--logdir", str(tmp_path), "--run-name", name])


def resume(folder, epochs, *arguments):
    return main(["--resume", str(folder), "--epochs", str(epochs), *arguments])


def one_error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of three epochs that was never stopped, by its mode."""
    logdir = tmp_path_factory.mktemp("whole")

    @functools.cache
    def whole(mode):
        assert train(logdir, mode, "--mode", mode, "--epochs", "3") == 0
        return logdir / mode

    return whole


@pytest.mark.parametrize(("mode", "lost"), [*((mode, ".lock") for mode in MODES), ("scratch", "checkpoint.pt")])
def test_a_resumed_run_ends_like_one_never_stopped(tmp_path, whole, mode, lost):
    run = tmp_path / "run"
    assert train(tmp_path, "run", "--mode", mode, "--epochs", "1") == 0
    (run / lost).unlink()
    # As if it had been killed after it wrote the figures of an epoch, but before its checkpoint.
    with (run / "metrics.csv").open("a") as file:
        file.write("2,9.9,0.1,9.9,0.1,1.0\n3,9.9")
    (run / ".checkpoint.pt.partial").write_bytes(b"half")
    assert resume(run, 3) == 0
    assert outcome(run) == outcome(whole(mode))


@pytest.mark.parametrize(
    ("place", "count", "signum"),
    [
        ("d2l_softmax.scratch.SGD.step", 30, signal.SIGINT),
        ("d2l_softmax.training.evaluate", 2, signal.SIGTERM),
        ("d2l_softmax.record.recorder.append_csv", 2, signal.SIGINT),
        ("d2l_softmax.record.tensorboard.write_epoch", 2, signal.SIGTERM),
        ("os.replace", 4, signal.SIGINT),  # of the second checkpoint
    ],
)
def test_ctrl_c_and_sigterm_say_how_to_go_on_to_the_same_bits(
    tmp_path, whole, capsys, monkeypatch, place, count, signum
):
    run, calls, original = tmp_path / "my run", [], pkgutil.resolve_name(place)

    def interrupted(*arguments):
        calls.append(place)
        if len(calls) == count:
            signal.raise_signal(signum)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, interrupted)
        assert train(tmp_path, "my run", "--epochs", "3") == 130
    assert one_error(capsys) == f"train.py: interrupted; to go on: python train.py --resume '{run}'"
    assert main(["--resume", str(run)]) == 0
    assert outcome(run) == outcome(whole("scratch"))


def test_resuming_a_finished_run_says_so_and_changes_nothing(whole, capsys):
    before = snapshot(whole("scratch"))
    assert main(["--resume", str(whole("scratch"))]) == 0
    assert "already has 3 epochs" in capsys.readouterr().out
    assert snapshot(whole("scratch")) == before


def test_a_contradicting_setting_is_refused_by_name_and_the_same_one_is_not(tmp_path, whole, capsys):
    others = {"--lr": "0.2", "--mode": "concise", "--seed": "1", "--batch-size": "32", "--dataset": "mnist"}
    for option, value in others.items():
        assert resume(whole("scratch"), 4, option, value) == 2
        assert f"{option} {value} contradicts {whole('scratch')}" in one_error(capsys)
    assert resume(whole("scratch"), 3, "--lr", "0.1", "--momentum", "0.9") == 0
    assert train(tmp_path, "run", "--epochs", "1", "--lr-schedule", "cosine") == 0
    assert resume(tmp_path / "run", 2) == 2
    assert "--epochs 2 contradicts" in one_error(capsys)


def contents(folder):
    return {path: content for path, (_, content) in snapshot(folder).items() if not path.endswith(".lock")}


def checkpoint(folder):
    return (folder / "checkpoint.pt").read_bytes()


def spoil(path, content):
    """A function that copies a whole run and puts `content` in place of one of its files."""

    def make(folder, whole):
        shutil.copytree(whole("scratch"), folder)
        (folder / path).write_bytes(content(whole))

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder, _: None, "there is no such folder"),
        (lambda folder, _: folder.mkdir(), "holds no run"),
        (spoil("config.json", lambda _: b'{"settings": {"what": 1}}'), "config.json is damaged"),
        (spoil("checkpoint.pt", lambda whole: checkpoint(whole("scratch"))[:-200]), "pt is damaged"),
        (spoil("checkpoint.pt", lambda whole: checkpoint(whole("manual"))), "they differ in mode"),
    ],
)
def test_what_cannot_be_resumed_is_one_line_and_left_as_it_is(tmp_path, whole, capsys, make, said):
    run = tmp_path / "run"
    make(run, whole)
    before, _ = contents(tmp_path), capsys.readouterr()
    assert resume(run, 9) == 2
    error = one_error(capsys)
    assert str(run) in error
    assert said in error
    assert contents(tmp_path) == before


def test_data_may_move_but_not_change(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrays = make_folder(tmp_path / "old", 60, 20, 3, 4)
    assert train(tmp_path, "run", "--dataset", "old", "--epochs", "1") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume(tmp_path / "run", 2) == 0
    (tmp_path / "old").rename(tmp_path / "new")
    assert resume(tmp_path / "run", 3) == 2
    assert resume(tmp_path / "run", 3, "--data-dir", "../new") == 0
    assert resume(tmp_path / "run", 4) == 0
    write_idx(tmp_path / "new" / f"{TEST_LABELS}.gz", arrays[TEST_LABELS][::-1])
    capsys.readouterr()
    assert resume(tmp_path / "run", 5) == 2
    assert "checksum" in one_error(capsys)


@pytest.mark.parametrize(
    ("kind", "members"), [(["--mode", "compare"], [*MODES]), (["--lr", "0.1", "0.2"], ["lr=0.1", "lr=0.2"])]
)
def test_a_group_is_not_resumed_but_its_members_are(tmp_path, whole, capsys, monkeypatch, kind, members):
    command = [*DIGITS, *kind, "--epochs", "2", "--logdir", str(tmp_path), "--run-name", "my group"]
    monkeypatch.setattr(sys, "argv", ["train.py", *command])
    assert main(command) == 0
    capsys.readouterr()
    assert resume(tmp_path / "my group", 3) == 2
    error = one_error(capsys)
    assert f"({', '.join(members)})" in error
    assert f"`python {shlex.join(['train.py', *command])}`" in error
    member = tmp_path / "my group" / members[0]
    assert resume(member, 3) == 0
    numbers = [[float(cell) for row in rows(folder)[1:] for cell in row] for folder in (member, whole("scratch"))]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)


def test_a_run_that_is_being_written_is_not_resumed(whole, capsys):
    with locked(whole("scratch")):
        assert resume(whole("scratch"), 4) == 2
    assert "still being written" in one_error(capsys)


def test_a_folder_taken_away_while_running_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(EpochTable, "add", lambda *_: (tmp_path / "run").rename(tmp_path / "elsewhere"))
    assert train(tmp_path, "run", "--epochs", "3") == 2
    assert str(tmp_path / "run") in one_error(capsys)
