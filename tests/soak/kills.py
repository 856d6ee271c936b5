"""Kills training at random moments, resumes it until it ends, and compares with a run that was never stopped."""

import contextlib
import logging
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from d2l_softmax import MODES
from tests.conftest import ROOT
from tests.runs import checkpoint, curves, rows

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every run that was resumed

EPOCHS, MOST_KILLS = 15, 8
SETTINGS = ["--dataset", "digits", "--epochs", str(EPOCHS), "--batch-size", "64", "--momentum", "0.9"]
# By phase: what a process has written by then, and for how many seconds at most the phase goes on.
PHASES = {
    "data": ("*", 2.0),
    "training": ("metrics.csv", 0.02),
    "writing": (".*.partial", 0.0),
    "drawing": ("*.png", 1.0),
}


def outcome(folder: Path) -> dict:
    """Everything in a folder that must not depend on how often a run was killed, by file, and its curves."""
    found = curves(folder)
    for path in folder.iterdir():
        if path.suffix == ".csv":
            found[path.name] = rows(folder, path.name)
        elif path.suffix == ".pt":
            leaves = torch.utils._pytree.tree_leaves(checkpoint(folder))
            found[path.name] = [leaf.numpy().tobytes() for leaf in leaves if isinstance(leaf, torch.Tensor)]
        # config.json says when, and by which command, the run was started.
        elif path.is_file() and ".tfevents." not in path.name:
            found[path.name] = None if path.suffix == ".json" else path.read_bytes()
    return found


class Kills:
    """Attacks one run after the other; the cases count kills, by phase."""

    def __init__(self, root: Path):
        self.root, self.expected = root, {}

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        mode = chance.choice(list(MODES))
        if mode not in self.expected:
            _train(self.root / mode, mode, chance, 0)
            self.expected[mode] = outcome(self.root / mode)
        log = _train(folder / "run", mode, chance, MOST_KILLS)
        counts.update(log)
        found, expected = outcome(folder / "run"), self.expected[mode]
        different = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        assert not different, f"{mode}, killed in {', '.join(log)}, has another {', '.join(different)}"


def _train(run: Path, mode: str, chance: random.Random, kills: int) -> list[str]:
    """Train, killing and resuming as often as that; return the phase of each kill."""
    log = []
    while True:
        arguments = ["--resume", str(run)]
        if not (run / "config.json").exists():
            shutil.rmtree(run, ignore_errors=True)
            arguments = [*SETTINGS, "--mode", mode, "--logdir", str(run.parent), "--run-name", run.name]
        started, command = time.time(), [sys.executable, str(ROOT / "train.py"), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if phase := _wait(process, run, chance, started) if len(log) < kills else None:
            process.kill()
            log.append(phase)
        error = process.communicate(timeout=300)[1]
        if process.returncode == 0:
            return log
        assert phase, f"status {process.returncode}\n{mode}, killed in {', '.join(log)}\n{error}"


def _wait(process: subprocess.Popen, run: Path, chance: random.Random, started: float) -> str | None:
    """Wait for a random moment of a random phase and return the phase, or None where the process has ended."""
    phase, epochs = chance.choice(list(PHASES)), chance.randint(0, EPOCHS)
    pattern, seconds = PHASES[phase]

    def has_written(pattern: str) -> bool:
        with contextlib.suppress(FileNotFoundError):  # it may be renamed at any time
            return any(path.stat().st_mtime > started for path in run.glob(pattern))
        return False

    while process.poll() is None and phase != "data" and not (len(rows(run)) >= epochs and has_written(pattern)):
        time.sleep(0.001)
    time.sleep(chance.random() * seconds)
    if process.poll() is not None:
        return None
    return "training" if phase == "data" and has_written("metrics.csv") else phase
