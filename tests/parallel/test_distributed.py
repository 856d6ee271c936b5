"""Several processes as torchrun starts them, against one."""

import os
import signal
import subprocess
import sys

import pytest
from torch.testing import assert_close

from d2l_softmax.commands.train import main
from tests.conftest import ROOT
from tests.processes import PATIENCE, wait_until
from tests.runs import checkpoint, figures, rows

DIGITS = ["--dataset", "digits", "--no-figures", "--dtype", "float64", "--device", "cpu"]


def torchrun(processes, *arguments):
    """Start the command in several processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*launcher, str(ROOT / "train.py"), *map(str, arguments)], text=True, **pipes)


def ended(process):
    """What a process printed on stdout and on stderr, once it has ended, and its status."""
    return *process.communicate(timeout=PATIENCE), process.returncode


def learned(folder):
    """Weights, bias and the figures of every epoch."""
    state = checkpoint(folder)
    return state["W"], state["b"], figures(folder)


@pytest.mark.slow
# The last batch of 1,335 images has 55, an odd number; batches of 2 leave the third process with nothing.
@pytest.mark.parametrize(
    ("mode", "processes", "batch_size", "epochs", "validation"),
    [("manual", 2, 256, 3, 102), ("concise", 3, 2, 1, 1301), ("scratch", 3, 2, 1, 1301)],
)
def test_several_processes_are_one(tmp_path, mode, processes, batch_size, epochs, validation):
    arguments = [*DIGITS, "--mode", mode, "--epochs", str(epochs), "--batch-size", str(batch_size)]
    arguments += ["--validation", str(validation), "--logdir", str(tmp_path), "--run-name"]
    out, err, status = ended(torchrun(processes, *arguments, "several"))
    assert status == 0, err
    assert out.count(f"{mode} on digits") == 1
    assert main([*arguments, "one"]) == 0
    assert_close(learned(tmp_path / "several"), learned(tmp_path / "one"), rtol=0, atol=1e-12)
    assert len(list((tmp_path / "several").glob("events.out.tfevents.*"))) == 1


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_the_run_continues_with_any_number_of_them(tmp_path):
    arguments = [*DIGITS, "--mode", "manual", "--momentum", "0.9", "--logdir", str(tmp_path)]
    folder = tmp_path / "run"
    process = torchrun(2, *arguments, "--epochs", 10**6, "--run-name", "run")
    wait_until(lambda: rows(folder), process)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    assert ended(process)[2] != 0
    done = len(rows(folder))
    assert main(["--resume", str(folder), "--epochs", str(done + 1)]) == 0
    _, err, status = ended(torchrun(2, "--resume", folder, "--epochs", done + 2))
    assert status == 0, err
    assert main([*arguments, "--epochs", str(done + 2), "--run-name", "whole"]) == 0
    assert_close(learned(folder), learned(tmp_path / "whole"), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_what_is_wrong_is_reported_once(tmp_path):
    _, err, status = ended(torchrun(2, *DIGITS, "--lr", "1e20", "--weight-decay", "1e20", "--logdir", tmp_path))
    assert status != 0
    assert err.count("train.py: error: the loss is no longer finite in epoch 2") == 1
    assert err.count("train.py: error: ") == 1


@pytest.mark.parametrize("arguments", [["--mode", "compare"], ["--lr", "1", "2"]])
def test_several_processes_neither_compare_nor_sweep(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.setattr("os._exit", sys.exit)
    for name, value in {"TORCHELASTIC_RUN_ID": "job", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        main([*DIGITS, *arguments, "--logdir", str(tmp_path)])
    assert "torchrun" in capsys.readouterr().err
