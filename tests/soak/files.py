"""Files damaged at random: data sets, checkpoints, settings and tables of a run, read by those who read them."""

import gzip
import json
import math
import random
import re
import shutil
import struct
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from d2l_softmax.commands import predict, train
from d2l_softmax.commands.command_line import run_command
from d2l_softmax.data.datasets import load_dataset
from tests.idx_files import STEMS, make_folder
from tests.soak.cases import MEGABYTES, Ended, FaultError, in_child, judge
from tests.soak.kills import rows

EPOCHS = 3
ODD_VALUES = [None, True, -1, 0, 1, 2**70, 1e308, math.nan, "", "x", [], [1], {}, {"lr": []}, "a" * 10**5]
ODD_TENSORS = [torch.zeros(0), torch.zeros(3, 3), torch.full((25, 3), math.nan), torch.zeros(25, 3, dtype=torch.int8)]
ODD_TENSORS += [torch.zeros(1).expand(25, 3), torch.zeros(25, 3).to_sparse(), torch.zeros(10**4, device="meta")]


def damage(content: bytes, chance: random.Random) -> bytes:
    """Do something to a file's bytes that a disk, a network, an editor or an enemy may do."""
    content = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 5, 50])):
        at, length = chance.randint(0, len(content)), chance.choice([1, 1, 4, 100, 5000])
        kind = chance.choice(["flip", "cut", "insert", "zero", "swap", "big", "remove", "repeat"])
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = chance.randbytes(length)
        elif kind == "zero":
            content[at : at + length] = bytes(len(content[at : at + length]))
        elif kind == "swap":
            content = content[at:] + content[:at]
        elif kind == "big":
            big = [b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\0\1\0\0"]
            content[4 * (at % 5) : 4 * (at % 5) + 4] = chance.choice(big)
        elif kind == "remove":
            del content[at : at + length]
        elif kind == "repeat":
            content[at:at] = content[at : at + length]
    return bytes(content)


class Files:
    """Attacks with one damaged file each; the cases count which it was and whether it was refused."""

    def __init__(self, root: Path):
        self.run, self.image = root / "run", root / "image.png"
        Image.new("L", (5, 5), 99).save(self.image)
        for name, gz in (("idx", False), ("idx.gz", True)):
            make_folder(root / name, 70, 20, 3, 5, gz)
        self.usual, self.predicted = {}, {}
        for name, epochs in (("run", EPOCHS), ("before", EPOCHS - 1), ("whole", EPOCHS + 1)):
            options = ["--dataset", str(root / "idx"), "--epochs", str(epochs), "--batch-size", "16", "--no-figures"]
            options += ["--logdir", str(root), "--run-name", name]
            self.usual["resume"] = self._sound(root, lambda o=options: train.main(o)).megabytes
            ended = self._sound(root, lambda n=name: predict.main([str(root / n), str(self.image)]))
            self.usual["predict"] = ended.megabytes
            self.predicted[str(epochs)] = ended.out.splitlines()[1:]
        self.resumed = rows(root / "whole")
        self.usual["read"] = self._sound(root, lambda: _read(root / "idx.gz")).megabytes
        self.root = root

    def _sound(self, root: Path, function: Callable[[], int]) -> Ended:
        ended = in_child(function, root)
        judge("sound files", ended, root, (0,))
        return ended

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        run, what = folder / "run", chance.choice([*TARGETS, "idx", "idx.gz", "idx", "idx.gz"])
        enough, command = MEGABYTES, chance.choice(["predict", "resume"])
        if what.startswith("idx"):
            command = "read"
            shutil.copytree(self.root / what, run)
            path = run / (chance.choice(STEMS) + what[3:])
            content = gzip.decompress(path.read_bytes()) if what == "idx.gz" else path.read_bytes()
            if chance.random() < 0.5:
                content = damage(content, chance)
            if chance.random() < 0.01:
                content += bytes(2 * MEGABYTES << 20)
            enough += 2 * min(_promised(content), len(content)) / 1e6
            path.write_bytes(gzip.compress(content, 1) if what == "idx.gz" else content)
            del content  # which the fork would have, too
            if chance.random() < 0.5:
                path.write_bytes(damage(path.read_bytes(), chance))
        else:
            shutil.copytree(self.run, run)
            TARGETS[what](run, chance)
            enough += 2 * sum(path.lstat().st_size for path in run.iterdir()) / 1e6
        commands = {
            "read": lambda: _read(run),
            "resume": lambda: train.main(["--resume", str(run), "--epochs", str(EPOCHS + 1), "--no-figures"]),
            "predict": lambda: predict.main([str(run), str(self.image)]),
        }
        ended = in_child(commands[command], folder)
        counts[f"{what} {'refused' if ended.status else 'read'}"] += 1
        allowed = (0,) if what == "metrics.csv" else (0, 2)
        judge(f"{what}, {command}", ended, folder, allowed, self.usual[command] + enough)
        # What was changed with care may be another model; what was damaged may not.
        if ended.status == 0 and what in ("checkpoint.pt", "metrics.csv"):
            title, *answer = ended.out.splitlines()
            epoch = "".join(re.findall(r"after epoch (\d+) ", title))
            right = rows(run) == self.resumed if command == "resume" else answer == self.predicted[epoch]
            if not right:
                raise FaultError(f"{what}, {command}: another result: {ended.out}")


def _read(folder: Path) -> int:
    """Read a data set as the commands do, and compare it with what the files hold."""

    def command() -> int:
        dataset = load_dataset(str(folder))
        for name, tensor in zip(STEMS, TENSORS, strict=True):
            path = next(folder.glob(f"{name}*"))
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            start = 4 + 4 * content[3]
            assert content[start:] == getattr(dataset, tensor).to(torch.uint8).numpy().tobytes(), "other values"
        return 0

    return run_command("train.py", command)


def _promised(content: bytes) -> int:
    """How many bytes the header of an IDX file promises; 0 where it is none."""
    rank = content[3] if len(content) >= 16 and content[:3] == b"\0\0\x08" else 0
    return math.prod(struct.unpack_from(f">{rank}I", content, 4)) if 0 < rank <= 3 else 0


def _bytes(name: str, run: Path, chance: random.Random) -> None:
    (run / name).write_bytes(damage((run / name).read_bytes(), chance))


def _odd(value: Any, chance: random.Random, odd: list) -> Any:
    """Exchange something, somewhere in nested lists and dictionaries."""
    if isinstance(value, dict | list) and value and chance.random() < 0.9:
        value = value.copy()
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        if chance.random() < 0.1:
            del value[key]
        else:
            value[key] = _odd(value[key], chance, odd)
        return value
    return chance.choice(odd)


def _odd_checkpoint(run: Path, chance: random.Random) -> None:
    for path in run.glob("*.pt"):
        torch.save(_odd(torch.load(path, weights_only=True), chance, ODD_VALUES + ODD_TENSORS), path)


def _odd_config(run: Path, chance: random.Random) -> None:
    path = run / "config.json"
    path.write_text(json.dumps(_odd(json.loads(path.read_text()), chance, ODD_VALUES)))


def _odd_neighbour(run: Path, chance: random.Random) -> None:
    path = run / chance.choice(["events.out.tfevents.foo", "scores.txt", ".lock", *(p.name for p in run.iterdir())])
    if path.exists():
        path.unlink()
    chance.choice([path.mkdir, path.touch, lambda: path.symlink_to(path)])()


TENSORS = ("train_images", "train_labels", "test_images", "test_labels")
TARGETS = {name: partial(_bytes, name) for name in ("checkpoint.pt", "config.json", "metrics.csv")}
TARGETS |= {"odd checkpoint": _odd_checkpoint, "odd config": _odd_config, "odd neighbour": _odd_neighbour}
