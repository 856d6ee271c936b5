import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from d2l_softmax import MODES
from d2l_softmax.commands.train import main
from d2l_softmax.experiment.stop import Stop
from tests.conftest import ROOT
from tests.idx_files import TEST_LABELS, make_folder, write_idx
from tests.processes import PATIENCE, wait_until
from tests.soak import outcome, rows

DIGITS = ["--dataset", "digits", "--batch-size", "64", "--momentum", "0.9", "--no-figures"]


def train(tmp_path, name, *arguments):
    return main([*DIGITS, *arguments, "--logdir", str(tmp_path), "--run-name", name])


def resume(folder, epochs, *arguments):
    return main(["--resume", str(folder), "--epochs", str(epochs), *arguments])


def one_error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_run_ends_like_one_never_stopped(tmp_path, mode):
    assert train(tmp_path, "whole", "--mode", mode, "--epochs", "5") == 0
    assert train(tmp_path, "parts", "--mode", mode, "--epochs", "2") == 0
    # As if it had been killed after it wrote the figures of an epoch, but before its checkpoint.
    with (tmp_path / "parts" / "metrics.csv").open("a") as file:
        file.write("3,9.9,0.1,9.9,0.1,1.0\n4,9.9")
    assert resume(tmp_path / "parts", 5) == 0
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")


@pytest.mark.parametrize(
    ("kind", "members"), [(["--mode", "compare"], [*MODES]), (["--lr", "0.1", "0.2"], ["lr=0.1", "lr=0.2"])]
)
def test_members_killed_between_their_checkpoints_continue_together(tmp_path, kind, members):
    for name, epochs in (("whole", "5"), ("parts", "3")):
        assert train(tmp_path, name, *kind, "--epochs", epochs) == 0
    behind = tmp_path / "parts" / members[-1]
    (behind / "checkpoint-previous.pt").replace(behind / "checkpoint.pt")
    kept = (behind / "metrics.csv").read_text().splitlines()[:3]
    assert resume(tmp_path / "parts", 5) == 0
    # The epochs that all have are not trained again: their seconds are still there.
    assert (behind / "metrics.csv").read_text().splitlines()[:3] == kept
    for member in members:
        assert outcome(tmp_path / "parts" / member) == outcome(tmp_path / "whole" / member)
    if kind == ["--mode", "compare"]:
        drifts = [(tmp_path / name / "drift.csv").read_text() for name in ("whole", "parts")]
        assert drifts[0] == drifts[1]


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path):
    assert train(tmp_path, "whole", "--epochs", "3") == 0
    assert train(tmp_path, "run", "--epochs", "2") == 0
    for path in (tmp_path / "run").glob("*.pt"):
        path.unlink()
    assert resume(tmp_path / "run", 3) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_resuming_a_finished_run_says_so_and_changes_nothing(tmp_path, capsys):
    assert train(tmp_path, "run", "--epochs", "2") == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    capsys.readouterr()
    assert main(["--resume", str(tmp_path / "run")]) == 0
    assert "already has 2 epochs" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_a_contradicting_setting_is_refused_by_name_and_the_same_one_is_not(tmp_path, capsys):
    assert train(tmp_path, "run", "--epochs", "1", "--lr", "0.2") == 0
    others = {"--lr": "0.1", "--mode": "concise", "--seed": "1", "--batch-size": "32", "--dataset": "mnist"}
    capsys.readouterr()
    for option, value in others.items():
        assert resume(tmp_path / "run", 2, option, value) == 2
        assert f"{option} {value} contradicts" in one_error(capsys)
    assert resume(tmp_path / "run", 2, "--lr", "0.2", "--momentum", "0.9") == 0
    assert len(rows(tmp_path / "run")) == 3


def test_more_epochs_would_change_a_cosine_schedule(tmp_path, capsys):
    assert train(tmp_path, "run", "--epochs", "1", "--lr-schedule", "cosine") == 0
    assert resume(tmp_path / "run", 2) == 2
    assert "--epochs 2 contradicts" in one_error(capsys)


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a damaged config", "damaged checkpoints"])
def test_what_cannot_be_resumed_is_one_line(tmp_path, capsys, what):
    run = tmp_path / "run"
    if what == "damaged checkpoints":
        assert train(tmp_path, "run", "--epochs", "2") == 0
        for path in run.glob("*.pt"):
            path.write_bytes(path.read_bytes()[:100])
    elif what != "nothing":
        run.mkdir()
    if what == "a damaged config":
        (run / "config.json").write_text('{"settings": 1')
    assert resume(run, 9) == 2
    assert str(run) in one_error(capsys)


def test_a_damaged_last_checkpoint_costs_one_epoch_and_is_reported(tmp_path):
    assert train(tmp_path, "whole", "--epochs", "4") == 0
    assert train(tmp_path, "run", "--epochs", "3") == 0
    last = tmp_path / "run" / "checkpoint.pt"
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.warns(UserWarning, match="after epoch 2"):
        assert resume(tmp_path / "run", 4) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_other_data_under_the_same_name_are_refused(tmp_path, capsys):
    make_folder(tmp_path / "data", 60, 20, 3, 4)
    assert train(tmp_path, "run", "--dataset", str(tmp_path / "data"), "--epochs", "1") == 0
    shutil.rmtree(tmp_path / "data")
    make_folder(tmp_path / "data", 60, 20, 3, 4, seed=1)
    assert resume(tmp_path / "run", 2) == 2
    assert "checksum" in one_error(capsys)


def test_data_that_have_moved_are_taken_from_their_new_place(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrays = make_folder(tmp_path / "old", 60, 20, 3, 4)
    assert train(tmp_path, "run", "--dataset", "old", "--epochs", "1") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume(tmp_path / "run", 2) == 0
    (tmp_path / "old").rename(tmp_path / "new")
    assert resume(tmp_path / "run", 3) == 2
    assert resume(tmp_path / "run", 3, "--dataset", "../new") == 0
    assert resume(tmp_path / "run", 4) == 0
    write_idx(tmp_path / "new" / f"{TEST_LABELS}.gz", arrays[TEST_LABELS][::-1])
    capsys.readouterr()
    assert resume(tmp_path / "run", 5, "--dataset", "../new") == 2
    assert "checksum" in one_error(capsys)


def test_a_file_with_a_name_like_that_of_an_event_file_does_no_harm(tmp_path):
    assert train(tmp_path, "run", "--epochs", "1") == 0
    (tmp_path / "run" / "events.out.tfevents.foo").touch()
    assert resume(tmp_path / "run", 2) == 0


def long_run(folder):
    """A process that trains for a long time, once it has finished two epochs."""
    command = [sys.executable, str(ROOT / "train.py"), *DIGITS, "--epochs", "100000"]
    process = subprocess.Popen(
        [*command, "--logdir", str(folder.parent), "--run-name", folder.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(rows(folder)) >= 3, process)
    return process


def test_a_stop_waits_for_the_end_of_what_is_shielded_and_happens_once():
    done = []
    with Stop() as stop:
        with stop.shield():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            done.append("shielded")
        done.append("after it")
    assert (done, stop.signum) == (["shielded"], signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_clean_and_says_how_to_resume(tmp_path, signum, status):
    run = tmp_path / "run"
    process = long_run(run)
    process.send_signal(signum)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (status, "")
    assert re.search(rf"^to resume:  .*train\.py --resume {re.escape(str(run))}$", out, re.M)
    done = len(rows(run)) - 1
    assert torch.load(run / "checkpoint.pt", weights_only=True)["epoch"] == done
    assert len(outcome(run)["curves"]["loss/test"]) == done
    assert resume(run, done + 1) == 0
    assert train(tmp_path, "whole", "--epochs", str(done + 1)) == 0
    assert outcome(run) == outcome(tmp_path / "whole")


def test_a_run_that_is_being_written_is_not_resumed_by_another_process(tmp_path, capsys):
    process = long_run(tmp_path / "run")
    try:
        assert resume(tmp_path / "run", 200000) == 2
        assert "still being written" in one_error(capsys)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("what", ["run", "run/metrics.csv"])
def test_a_folder_or_table_taken_away_while_running_is_one_line(tmp_path, what):
    process = long_run(tmp_path / "run")
    # Renamed at once: files made anew while others are being deleted would be a different run each time.
    (tmp_path / what).rename(tmp_path / "elsewhere")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    (line,) = err.splitlines()
    assert str(tmp_path / "run") in line


def test_a_folder_that_holds_no_run_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["--resume", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
