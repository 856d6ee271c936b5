import functools
import io
import pkgutil
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from d2l_softmax import MODES
from d2l_softmax.commands.train import main
from tests import runs
from tests.idx_files import TEST_LABELS, make_folder, snapshot, write_idx
from tests.soak.kills import outcome

SETTINGS = ["--batch-size", "64", "--momentum", "0.9"]


def train(tmp_path, name, *arguments):
    return runs.train(tmp_path, name, *SETTINGS, *arguments)


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
        ("d2l_softmax.record.recorder.append_csv", 2, signal.SIGINT),
        ("d2l_softmax.record.tensorboard.write_epoch", 2, signal.SIGTERM),
        ("os.replace", 4, signal.SIGINT),  # of the second checkpoint
    ],
)
def test_an_interrupt_says_how_to_go_on_to_the_same_bits(tmp_path, whole, capsys, monkeypatch, place, count, signum):
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


class Code:
    def __reduce__(self):
        return Path.touch, (Path("it-was-run"),)


def as_file(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def with_a_changed_weight(content, folder):
    weights = runs.checkpoint(folder)["W"].numpy().tobytes()
    return content.replace(weights, bytes(4) + weights[4:])


# What is put in place of a file of a run, from its content and the run, and what is said.
SPOILT = [
    ("config.json", lambda *_: b"[]", "is damaged"),
    ("checkpoint.pt", lambda content, _: content[:-200], "is damaged"),
    ("checkpoint.pt", with_a_changed_weight, "is damaged"),
    ("checkpoint.pt", lambda *_: as_file({"weight": torch.zeros(3)}), "is damaged"),
    ("checkpoint.pt", lambda *_: as_file({"history": [], "W": Code()}), "is damaged"),
    ("checkpoint.pt", lambda _, run: (run.parent / "manual" / "checkpoint.pt").read_bytes(), "they differ in mode"),
]


@pytest.mark.parametrize(("name", "change", "said"), SPOILT)
def test_a_foreign_file_is_refused_and_nothing_in_it_is_run(tmp_path, whole, capsys, monkeypatch, name, change, said):
    whole("manual")
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole("scratch"), run)
    (run / name).write_bytes(change((run / name).read_bytes(), whole("scratch")))
    before, _ = snapshot(tmp_path), capsys.readouterr()
    assert resume(run, 9) == 2
    error = one_error(capsys)
    assert str(run / name) in error
    assert said in error
    assert snapshot(tmp_path) == before


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    for folder in (tmp_path / "gone", tmp_path):
        assert resume(folder, 9) == 2
        assert f"no such run: {folder} has no config.json" in one_error(capsys)


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
    fixed = ["--dataset", "digits", "--epochs", "2", "--no-figures", "--logdir", str(tmp_path), *SETTINGS]
    command = [*fixed, *kind, "--run-name", "my group"]
    monkeypatch.setattr(sys, "argv", ["train.py", *command])
    assert main(command) == 0
    capsys.readouterr()
    assert resume(tmp_path / "my group", 3) == 2
    error = one_error(capsys)
    assert f"({', '.join(members)})" in error
    assert f"`python {shlex.join(['train.py', *command])}`" in error
    member = tmp_path / "my group" / members[0]
    assert resume(member, 3) == 0
    torch.testing.assert_close(runs.figures(member), runs.figures(whole("scratch")), rtol=1e-5, atol=0)


def test_a_run_that_is_being_written_is_not_resumed(whole, capsys):
    with FileLock(whole("scratch") / ".lock"):
        assert resume(whole("scratch"), 4) == 2
    assert "still being written" in one_error(capsys)
