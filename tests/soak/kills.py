"""Kills training at random moments, resumes it until it ends, and compares with a run that was never stopped."""

import csv
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from d2l_softmax import MODES
from tests.conftest import ROOT
from tests.soak.cases import FaultError

logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it tells of every run that was resumed

EPOCHS, MOST_KILLS = 15, 6
SMALL = ["--dataset", "digits", "--epochs", str(EPOCHS), "--batch-size", "64"]
# In the sweep, a weight decay that diverges after some epochs.
SUBJECTS = {
    **{mode: ["--mode", mode, *SMALL, "--momentum", "0.9", "--validation", "100"] for mode in MODES},
    "sweep": [*SMALL, "--weight-decay", "0", "27.5", "--seed", "1", "2"],
    "comparison": ["--mode", "compare", *SMALL],
    "torchrun": [*SMALL, "--mode", "concise"],
}
# What tells two runs apart whose results are the same.
OWN = {"started", "command", "device", "logdir", "run_name", "seconds"}


def start(folder: Path, subject: str, *arguments: str) -> subprocess.Popen:
    """Start the command as a user does, with a folder beside the run's for temporary files."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *(torchrun if subject == "torchrun" else []), str(ROOT / "train.py"), *arguments]
    (folder.parent / "tmp").mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"TMPDIR": str(folder.parent / "tmp")}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def rows(folder: Path, name: str = "metrics.csv") -> list[list[str]]:
    """The lines of a table without their seconds."""
    try:
        with (folder / name).open() as file:
            lines = list(csv.reader(file))
    except FileNotFoundError:
        return []
    kept = [number for number, column in enumerate(lines[0] if lines else []) if column not in OWN]
    return [[row[number] for number in kept if number < len(row)] for row in lines]


def outcome(folder: Path) -> dict:
    """Everything in a folder that must not depend on how often a run was killed."""
    found = {
        path.name: _content(path) for path in folder.iterdir() if path.is_file() and ".tfevents." not in path.name
    }
    events = EventAccumulator(str(folder), {"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    found["curves"] = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags["scalars"]}
    found["shown"] = {tag: events.Images(tag)[-1].encoded_image_string for tag in tags["images"]}
    return found


def _content(path: Path) -> object:
    if path.suffix == ".csv":
        return rows(path.parent, path.name)
    if path.suffix == ".json":
        return json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: {k: v for k, v in pairs if k not in OWN})
    if path.suffix == ".pt":
        checkpoint = torch.load(path, weights_only=True)
        leaves = torch.utils._pytree.tree_leaves(
            [checkpoint[key] for key in ("W", "b", "updater", "order", "random")]
        )
        return [leaf.numpy().tobytes() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
    return path.read_bytes()


def outcomes(folder: Path) -> dict:
    """The same of a folder and all those in it, by name."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    return {f"{path.relative_to(folder)}/{what}": value for path in folders for what, value in outcome(path).items()}


def compare(what: str, folder: Path, expected: dict) -> None:
    """Raise a `FaultError` where the outcomes in a folder are not the expected ones."""
    found = outcomes(folder)
    if different := sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k)):
        fault = f"other than the unbroken run: {' '.join(different)}"
        raise FaultError(f"{what}: {fault}", fault)


def done(folder: Path) -> int:
    """How many epochs are recorded, of all runs in a folder."""
    return sum(max(0, len(rows(path.parent)) - 1) for path in folder.rglob("metrics.csv"))


def phase(folder: Path, started: float) -> str:
    """What a process begun at `started` was doing when it was killed, from what it has written."""
    if not (runs := _begun(folder, started)):
        return "start-up"
    if any((run / ".checkpoint.pt.partial").exists() or len(rows(run)) - 1 > _saved(run) for run in runs):
        return "checkpoint"
    full = [run for run in runs if len(rows(run)) > EPOCHS]
    if any(not (run / "scores.txt").exists() for run in full):
        return "pictures"
    return "end" if len(full) == len(runs) else "epoch"


def _begun(folder: Path, started: float) -> list[Path]:
    """The runs in a folder to which a process begun at `started` has come."""
    configs = [path for path in folder.rglob("config.json") if path.stat().st_mtime > started]
    return [path.parent for path in configs if "settings" in json.loads(path.read_bytes())]


def _saved(run: Path) -> int:
    path = run / "checkpoint.pt"
    return torch.load(path, weights_only=True)["epoch"] if path.exists() else 0


class Kills:
    """Attacks one run after the other, by turns of all kinds; the cases count kills, by kind and phase."""

    def __init__(self, root: Path):
        self.root, self.expected = root, {}

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        subject = chance.choice(list(SUBJECTS))
        if subject not in self.expected:
            whole = self.root / f"whole-{subject}" / "run"
            self._train(whole, subject, 0, chance, Counter())
            self.expected[subject] = outcomes(whole), done(whole)
        expected, epochs = self.expected[subject]
        log = self._train(folder / "run", subject, MOST_KILLS, chance, counts, epochs)
        compare(f"{subject} after {', '.join(log)}", folder / "run", expected)
        # PyTorch and torchrun have folders of their own there.
        if left := [name for name in os.listdir(folder / "tmp") if not name.startswith("torch")]:
            raise FaultError(f"{subject} leaves temporary files behind: {left}")

    def _train(self, folder, subject, most_kills, chance, counts, epochs=0) -> list[str]:
        """Train into `folder`, killing and resuming; return what was done to it."""
        log = []
        while True:
            if not (folder / "config.json").exists():
                subprocess.run(["rm", "-rf", str(folder)], check=True)
                arguments = [*SUBJECTS[subject], "--logdir", str(folder.parent), "--run-name", folder.name]
            else:
                arguments = ["--resume", str(folder)]
            started = time.time()
            process = start(folder, subject, *arguments)
            signum = None
            if len(log) < most_kills and _wait(process, folder, chance, started, epochs):
                weights = (1, 0, 0) if subject == "torchrun" else (8, 1, 1)
                (signum,) = chance.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGINT], weights)
                for pid in _descendants(process.pid):
                    os.kill(pid, signum)
            error = process.communicate(timeout=300)[1]
            status = process.returncode
            if status == 0:
                return log
            where = phase(folder, started)
            if signum is None:
                raise FaultError(f"{subject}: exit status {status} after {', '.join(log)}: {error}")
            log.append(f"{signum.name} at {where} with {done(folder)} epochs")
            # Before the program has taken over, and when it has ended, it is Python that the signal ends.
            if where not in ("start-up", "end") and status not in (-signal.SIGKILL, 128 + signum):
                raise FaultError(f"{subject}: exit status {status} after {', '.join(log)}: {error}")
            counts[f"{subject if subject not in MODES else 'run'}, {where}"] += 1


def _wait(process: subprocess.Popen, folder: Path, chance: random.Random, started: float, epochs: int) -> bool:
    """Wait for a random moment of a random phase; return whether the process is still there."""
    target = chance.randint(done(folder), epochs)
    moments = {
        "start-up": (lambda: True, 3.0),
        "epoch": (lambda: done(folder) >= target, 0.02),
        "checkpoint": (lambda: any(folder.rglob(".checkpoint.pt.partial")) and done(folder) >= target, 0.0),
        "pictures": (lambda: any(folder.rglob("*.png")) or done(folder) >= epochs, 1.5),
    }
    (moment,) = chance.choices(list(moments), (1, 3, 3, 3))
    reached, longest = moments[moment]
    while process.poll() is None and not (reached() and (moment == "start-up" or _begun(folder, started))):
        time.sleep(0.001)
    time.sleep(chance.random() * longest)
    return process.poll() is None


def _descendants(pid: int) -> list[int]:
    """A process and, depth first, those that it has started."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = path.read_text().split() if path.exists() else []
    return [pid, *(each for child in children for each in _descendants(int(child)))]
