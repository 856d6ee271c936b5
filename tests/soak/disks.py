"""Disks that fill up at any moment of any kind of run, and disks that cannot be written."""

import random
import resource
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from d2l_softmax.commands import predict, train
from tests.soak.cases import in_child, judge
from tests.soak.kills import SUBJECTS, compare, outcomes

KINDS = [kind for kind in SUBJECTS if kind != "torchrun"]
SECONDS = 120


class Disks:
    """Attacks with one small or read-only disk each; where none can be mounted, with a limit to the size of files."""

    def __init__(self, root: Path):
        self.root, self.whole = root, {}
        made = self._mount(root, "size=1m")
        self.can_mount = made.returncode == 0
        if self.can_mount:
            subprocess.run(["umount", str(root)], check=True)
        else:
            print(f"no disk can be mounted ({made.stderr.strip()}): files are limited in size, nothing is read-only")

    def _mount(self, disk: Path, options: str) -> subprocess.CompletedProcess:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        return subprocess.run(command, capture_output=True, text=True)

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        kind, disk = chance.choice(KINDS), folder / "disk"
        if kind not in self.whole:
            ended = in_child(lambda: self._train(kind, self.root / kind), self.root, SECONDS)
            judge(kind, ended, self.root, (0,))
            self.whole[kind] = outcomes(self.root / kind / "run")
        disk.mkdir()
        if not self.can_mount:
            return self._full(kind, disk, chance, counts)
        self._mount(disk, "size=64m")
        try:
            (self._full if chance.random() < 0.8 else self._read_only)(kind, disk, chance, counts)
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def _train(self, kind: str, logdir: Path, limit: int | None = None) -> int:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return train.main([*SUBJECTS[kind], "--logdir", str(logdir), "--run-name", "run"])

    def _full(self, kind: str, disk: Path, chance: random.Random, counts: Counter) -> None:
        kilobytes = int(4 * 2 ** (chance.random() * 10))
        self._remount(disk, f"size={kilobytes}k")
        limit = None if self.can_mount else kilobytes << 8
        ended = in_child(lambda: self._train(kind, disk, limit), disk.parent, SECONDS)
        counts[f"{kind}, {'full' if ended.status else 'large enough'}"] += 1
        judge(f"{kind} on a disk of {kilobytes} kB", ended, disk.parent)
        self._remount(disk, "size=64m")
        if (disk / "run" / "config.json").exists():
            ended = in_child(lambda: train.main(["--resume", str(disk / "run")]), disk.parent, SECONDS)
            judge(f"{kind} resumed after a disk of {kilobytes} kB", ended, disk.parent, (0,))
            compare(f"{kind} resumed after a disk of {kilobytes} kB", disk / "run", self.whole[kind])

    def _read_only(self, kind: str, disk: Path, chance: random.Random, counts: Counter) -> None:
        shutil.copytree(self.root / kind / "run", disk / "run")
        self._remount(disk, "ro")
        commands = {
            "train": lambda: train.main([*SUBJECTS[kind], "--logdir", str(disk)]),
            "resume": lambda: train.main(["--resume", str(disk / "run"), "--epochs", "20"]),
            "predict": lambda: predict.main([str(disk / "run")]),
        }
        command = chance.choice(list(commands))
        ended = in_child(commands[command], disk.parent, SECONDS)
        counts["read-only"] += 1
        # Predictions can still be printed.
        allowed = (0, 2) if command == "predict" else (2,)
        judge(f"{command} of a {kind} on a read-only disk", ended, disk.parent, allowed)

    def _remount(self, disk: Path, options: str) -> None:
        if self.can_mount:
            subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)
