"""Kills real training processes at random moments, resumes them, and compares the end with runs never stopped.

    python -m tests.soak --kills 100 --seed 0

Each round starts a run, kills it with SIGKILL once it has written a random number of epochs and a random few
milliseconds more, and resumes it, until it ends. Weights, bias, momentum, figures and curves must be those of the run
that was left alone, to the last bit.
"""

import argparse
import csv
import itertools
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax import MODES
from tests.conftest import ROOT

EPOCHS = 30
SETTINGS = ["--dataset", "digits", "--epochs", str(EPOCHS), "--batch-size", "16", "--momentum", "0.9", "--no-figures"]
TAGS = ("loss/train", "loss/test", "accuracy/train", "accuracy/test")


def start(*arguments: str) -> subprocess.Popen:
    """Start the command as a user does, in silence."""
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def rows(folder: Path) -> list[list[str]]:
    """The lines of `metrics.csv` without their seconds."""
    try:
        with (folder / "metrics.csv").open() as file:
            return [row[:5] + row[6:] for row in csv.reader(file)]
    except FileNotFoundError:
        return []


def outcome(folder: Path) -> dict:
    """Everything that must not depend on how often a run was killed."""
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    events = EventAccumulator(str(folder))
    events.Reload()
    curves = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in TAGS}
    flat = torch.utils._pytree.tree_leaves([checkpoint[key] for key in ("W", "b", "updater", "order", "random")])
    state = [leaf.numpy().tobytes() if isinstance(leaf, torch.Tensor) else leaf for leaf in flat]
    return {"metrics": rows(folder), "curves": curves, "state": state}


def run_with_kills(folder: Path, arguments: list[str], most_kills: int, chance: random.Random) -> int:
    """Train into `folder`, killing up to `most_kills` times; return how often it was killed."""
    process = start(*arguments, "--logdir", str(folder.parent), "--run-name", folder.name)
    for kills in itertools.count():
        target = len(rows(folder)) + chance.choice([0, 1, 1, 2, 3, 5, 8])
        while kills < most_kills and process.poll() is None and len(rows(folder)) < target:
            time.sleep(0.001)
        if kills < most_kills and process.poll() is None:
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
        error = process.communicate()[1]
        if process.returncode == 0:
            return kills
        if process.returncode != -signal.SIGKILL:
            raise AssertionError(f"exit status {process.returncode}: {error}")
        if (folder / "config.json").exists():
            process = start("--resume", str(folder))
        else:
            process = start(*arguments, "--logdir", str(folder.parent), "--run-name", folder.name)
    raise AssertionError("unreachable")


def soak(kills: int, seed: int, modes: tuple[str, ...] = tuple(MODES)) -> dict[str, int]:
    """Kill `kills` processes over the modes; return how often each mode was killed.

    Raises:
        AssertionError: something was lost.
    """
    chance = random.Random(seed)
    killed = dict.fromkeys(modes, 0)
    with tempfile.TemporaryDirectory() as root:
        expected = {}
        for mode in modes:
            folder = Path(root) / f"{mode}-whole"
            run_with_kills(folder, ["--mode", mode, *SETTINGS], 0, chance)
            expected[mode] = outcome(folder)
            assert len(expected[mode]["metrics"]) == EPOCHS + 1
        for number in itertools.count():
            if sum(killed.values()) >= kills:
                return killed
            mode = modes[number % len(modes)]
            folder = Path(root) / f"{mode}-{number}"
            left = kills - sum(killed.values())
            killed[mode] += run_with_kills(folder, ["--mode", mode, *SETTINGS], min(8, left), chance)
            found = outcome(folder)
            for what, value in expected[mode].items():
                assert found[what] == value, f"{mode}, round {number}: the {what} differ"
            print(f"round {number}: {mode}, {killed} killed, nothing lost", flush=True)
    return killed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(soak(options.kills, options.seed))
