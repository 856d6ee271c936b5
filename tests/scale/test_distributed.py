"""Several processes as torchrun starts them, against one."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from d2l_softmax import MODES
from d2l_softmax.commands.train import main
from tests.conftest import ROOT
from tests.processes import PATIENCE, wait_until
from tests.soak import rows

DIGITS = ["--dataset", "digits", "--no-figures", "--dtype", "float64", "--device", "cpu"]


def torchrun(processes, *arguments):
    """Start the command in several processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [*launcher, str(ROOT / "train.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def weights(folder):
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    return torch.cat([checkpoint["W"].flatten(), checkpoint["b"]])


def figures(folder):
    return torch.tensor([[float(cell) for cell in row] for row in rows(folder)[1:]])


@pytest.mark.slow
# The last batch of 1,335 images has 55, an odd number; batches of 2 leave the third process with nothing.
@pytest.mark.parametrize(
    ("mode", "processes", "batch_size", "epochs", "validation"),
    [*((mode, 2, 256, 3, 102) for mode in MODES), ("concise", 3, 2, 1, 1301), ("scratch", 3, 2, 1, 1301)],
)
def test_several_processes_are_one(tmp_path, mode, processes, batch_size, epochs, validation):
    arguments = [*DIGITS, "--mode", mode, "--epochs", str(epochs), "--batch-size", str(batch_size)]
    arguments += ["--validation", str(validation), "--logdir", str(tmp_path), "--run-name"]
    process = torchrun(processes, *arguments, "several")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out.count(f"{mode} on digits") == 1
    assert main([*arguments, "one"]) == 0
    assert (weights(tmp_path / "several") - weights(tmp_path / "one")).abs().max() < 1e-12
    assert torch.allclose(figures(tmp_path / "several"), figures(tmp_path / "one"), rtol=1e-12, atol=0)
    assert len(list((tmp_path / "several").glob("events.out.tfevents.*"))) == 1


@pytest.mark.slow
def test_a_run_continues_with_another_number_of_processes(tmp_path):
    arguments = [*DIGITS, "--mode", "manual", "--momentum", "0.9", "--logdir", str(tmp_path)]
    assert main([*arguments, "--epochs", "2", "--run-name", "run"]) == 0
    process = torchrun(2, "--resume", tmp_path / "run", "--epochs", 4)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert main(["--resume", str(tmp_path / "run"), "--epochs", "5"]) == 0
    assert main([*arguments, "--epochs", "5", "--run-name", "whole"]) == 0
    assert (weights(tmp_path / "run") - weights(tmp_path / "whole")).abs().max() < 1e-12
    assert len(rows(tmp_path / "run")) == 6


@pytest.mark.slow
def test_a_killed_process_ends_the_job_with_an_error(tmp_path):
    folder = tmp_path / "run"
    process = torchrun(2, *DIGITS, "--epochs", 10**6, "--logdir", tmp_path, "--run-name", "run")
    wait_until(lambda: len(rows(folder)) >= 2, process)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert main(["--resume", str(folder), "--epochs", str(len(rows(folder)))]) == 0


@pytest.mark.slow
def test_bad_input_is_reported_once(tmp_path):
    process = torchrun(2, "--dataset", "nonsense", "--logdir", tmp_path)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert err.count("train.py: error: unknown data set 'nonsense'") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--mode", "compare"], ["--lr", "1", "2"]])
def test_several_processes_neither_compare_nor_sweep(tmp_path, capsys, monkeypatch, arguments):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*DIGITS, *arguments, "--logdir", str(tmp_path)]) == 2
    assert "torchrun" in capsys.readouterr().err
