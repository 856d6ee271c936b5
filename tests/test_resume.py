import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from d2l_softmax import MODES
from d2l_softmax.cli import main
from tests.processes import PATIENCE, wait_until
from tests.soak import ROOT, outcome, rows, soak

DIGITS = ["--dataset", "digits", "--batch-size", "64", "--momentum", "0.9", "--no-figures"]


def train(tmp_path, name, *arguments):
    return main([*DIGITS, *arguments, "--logdir", str(tmp_path), "--run-name", name])


@pytest.mark.parametrize("mode", MODES)
def test_a_resumed_run_ends_like_one_never_stopped(tmp_path, mode):
    assert train(tmp_path, "whole", "--mode", mode, "--epochs", "5", "--eval-every", "7") == 0
    assert train(tmp_path, "parts", "--mode", mode, "--epochs", "2", "--eval-every", "7") == 0
    # As if it had been killed after it wrote figures of an epoch whose checkpoint it did not live to write.
    with (tmp_path / "parts" / "metrics.csv").open("a") as file:
        file.write("3,9.9,0.1,9.9,0.1,1.0\n4,9.9")
    assert main(["--resume", str(tmp_path / "parts"), "--epochs", "5"]) == 0
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    steps = [(tmp_path / name / "steps.csv").read_text() for name in ("whole", "parts")]
    assert steps[0] == steps[1]


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path):
    assert train(tmp_path, "whole", "--epochs", "3") == 0
    assert train(tmp_path, "run", "--epochs", "2") == 0
    for path in (tmp_path / "run").glob("*.pt"):
        path.unlink()
    assert main(["--resume", str(tmp_path / "run"), "--epochs", "3"]) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_killed_processes_lose_nothing():
    # The short form; `python -m tests.soak` kills as many as one likes.
    killed = soak(kills=3, seed=int.from_bytes(os.urandom(2), "big"), modes=("manual",))
    assert killed == {"manual": 3}


def test_resuming_a_finished_run_says_so_and_changes_nothing(tmp_path, capsys):
    assert train(tmp_path, "run", "--epochs", "2") == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    capsys.readouterr()
    assert main(["--resume", str(tmp_path / "run")]) == 0
    assert "already has 2 epochs" in capsys.readouterr().out
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize(
    ("option", "value"),
    [("--lr", "0.2"), ("--mode", "concise"), ("--seed", "1"), ("--batch-size", "32"), ("--dataset", "mnist")],
)
def test_a_contradicting_setting_is_refused_by_name(tmp_path, capsys, option, value):
    assert train(tmp_path, "run", "--epochs", "1") == 0
    capsys.readouterr()
    assert main(["--resume", str(tmp_path / "run"), "--epochs", "2", option, value]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"{option} {value} contradicts" in err


def test_more_epochs_would_change_a_cosine_schedule(tmp_path, capsys):
    assert train(tmp_path, "run", "--epochs", "1", "--lr-schedule", "cosine") == 0
    assert main(["--resume", str(tmp_path / "run"), "--epochs", "2"]) == 2
    assert "--epochs 2 contradicts" in capsys.readouterr().err


def test_the_same_settings_may_be_said_again(tmp_path):
    assert train(tmp_path, "run", "--epochs", "1", "--lr", "0.2") == 0
    assert main(["--resume", str(tmp_path / "run"), "--epochs", "2", "--lr", "0.2", "--momentum", "0.9"]) == 0
    assert len(rows(tmp_path / "run")) == 3


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a damaged config", "damaged checkpoints"])
def test_what_cannot_be_resumed_is_one_line(tmp_path, capsys, what):
    run = tmp_path / "run"
    if what != "nothing":
        run.mkdir()
    if what == "a damaged config":
        (run / "config.json").write_text('{"settings": 1')
    if what == "damaged checkpoints":
        run.rmdir()
        assert train(tmp_path, "run", "--epochs", "2") == 0
        for path in run.glob("*.pt"):
            path.write_bytes(path.read_bytes()[:100])
    capsys.readouterr()
    assert main(["--resume", str(run), "--epochs", "9"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert str(run) in err


def test_a_damaged_last_checkpoint_costs_one_epoch_and_is_said(tmp_path):
    assert train(tmp_path, "whole", "--epochs", "4") == 0
    assert train(tmp_path, "run", "--epochs", "3") == 0
    last = tmp_path / "run" / "checkpoint.pt"
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.warns(UserWarning, match="after epoch 2"):
        assert main(["--resume", str(tmp_path / "run"), "--epochs", "4"]) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_other_data_under_the_same_name_are_refused(tmp_path, capsys):
    from tests.idx_files import make_folder

    make_folder(tmp_path / "data", 60, 20, 3, 4)
    arguments = ["--dataset", str(tmp_path / "data"), "--no-figures", "--logdir", str(tmp_path), "--run-name", "run"]
    assert main([*arguments, "--epochs", "1"]) == 0
    shutil.rmtree(tmp_path / "data")
    make_folder(tmp_path / "data", 60, 20, 3, 4, seed=1)
    assert main(["--resume", str(tmp_path / "run"), "--epochs", "2"]) == 2
    assert "checksum" in capsys.readouterr().err


def long_run(folder, *arguments):
    """A process that trains on and on, once it has finished an epoch."""
    command = [sys.executable, str(ROOT / "train.py"), *DIGITS, "--epochs", "100000", *arguments]
    process = subprocess.Popen(
        [*command, "--logdir", str(folder.parent), "--run-name", folder.name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(rows(folder)) >= 3, process)
    return process


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_clean_and_says_how_to_go_on(tmp_path, signum, status):
    run = tmp_path / "run"
    process = long_run(run, "--checkpoint-every", "100000")
    process.send_signal(signum)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert err == ""
    assert re.search(rf"to go on: .*train\.py --resume {re.escape(str(run))}\n", out)
    done = len(rows(run)) - 1
    assert torch.load(run / "checkpoint.pt", weights_only=True)["epoch"] == done
    assert len(outcome(run)["curves"]["loss/test"]) == done
    assert main(["--resume", str(run), "--epochs", str(done + 1)]) == 0
    assert train(tmp_path, "whole", "--epochs", str(done + 1)) == 0
    assert outcome(run) == outcome(tmp_path / "whole")


def test_a_run_that_is_being_written_is_not_resumed_by_another_process(tmp_path, capsys):
    process = long_run(tmp_path / "run")
    try:
        assert main(["--resume", str(tmp_path / "run"), "--epochs", "200000"]) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1
        assert "still being written" in err
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("what", ["the folder", "the table"])
def test_what_is_taken_away_while_running_is_one_line(tmp_path, what):
    process = long_run(tmp_path / "run")
    # Renamed in one go: files made anew while others are being deleted would be a different run each time.
    (tmp_path / "run" if what == "the folder" else tmp_path / "run" / "metrics.csv").rename(tmp_path / "elsewhere")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert len(err.splitlines()) == 1, err
    assert str(tmp_path / "run") in err
