"""Random command lines and damaged files. Each command runs in a fork of this process, and must explain itself."""

import importlib
import multiprocessing
import os
import pkgutil
import random
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import torch
from PIL import Image

import d2l_softmax
from d2l_softmax.commands import predict, train
from tests.idx_files import STEMS, make_folder
from tests.runs import rows

SECONDS = 60  # after which a command hangs
MAINS = {"train.py": train.main, "predict.py": predict.main}
RUN_FILES = ("config.json", "checkpoint.pt")
# Values that are right for some option, and that hardly are for any.
GOOD = ["0", "1", "2", "16", "0.1", "0.5", "1e-3", "1e38", "digits", "auto", "cpu", "cuda", "raw", "float64"]
GOOD += ["cosine", "manual", "concise", "compare", "xavier", "run", "sweep", "data", "file", "image.png", "name"]
BAD = ["-", "--", "-1", "nan", "-inf", "1e400", "1_0", "0x10", "٣", "", " ", "..", "../up", "~", "/dev/null/x", "%s"]
BAD += ["/proc", "two\nlines", "\udcff", "\x1b[31m", "x" * 256, "é" * 200, "9" * 20, "9" * 5000, "--help"]
# Values for one option. A number of epochs must be one that ends.
OWN = {"--epochs": ["1", "2", "0", "-1", "x", ""], "--dataset": ["data", "digits"], "--mode": ["manual", "compare"]}
OWN |= {"--resume": ["run", "sweep"], "--modes": ["scratch,manual"], "--device": ["cpu", "cuda"], "--lr": ["0.1"]}


def in_child(name: str, arguments: list[str], folder: Path) -> CompletedProcess:
    """Run a command in a fork of this process, whose working directory and home are `folder`/cwd."""

    def child() -> None:
        os.chdir(folder / "cwd")
        # Nothing answers at this address: no case may reach the network.
        os.environ |= {"HOME": os.getcwd()} | dict.fromkeys(["http_proxy", "https_proxy"], "http://127.0.0.1:9")
        for number, stream in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", errors="backslashreplace") for number in (1, 2))
        sys.exit(MAINS[name](arguments))

    (folder / "cwd").mkdir(parents=True, exist_ok=True)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(SECONDS)
    status = process.exitcode  # None where it hangs
    process.kill()
    return CompletedProcess(
        [name, *arguments], status, *((folder / stream).read_text(errors="replace") for stream in ("out", "err"))
    )


def judge(ended: CompletedProcess, allowed: tuple[int, ...] = (0, 2), what: str = "") -> None:
    """Raise an `AssertionError` unless the status is allowed and, where it is not 0, stderr has one line."""
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("warning: ", "downloading from "))]
    right = ended.returncode in allowed and len(lines) == (ended.returncode != 0)
    assert right, f"status {ended.returncode}, {len(lines)} lines on stderr: {ended.args} {what}\n{ended.stderr}"


def import_everything() -> None:
    """Import whatever a command may need, so that the forks of this process need not."""
    for module in pkgutil.walk_packages(d2l_softmax.__path__, "d2l_softmax."):
        importlib.import_module(module.name)
    torch.optim.SGD([torch.zeros(1)], 0.1)  # its first use imports as much again


class Commands:
    """Attacks with one command line each, of options that `--help` names; the cases count exit statuses."""

    def __init__(self, root: Path):
        self.made, self.options = root / "cwd", {}
        make_folder(self.made / "data", 70, 20, 3, 5)
        (self.made / "file").write_text("no folder")
        Image.new("L", (9, 9), 99).save(self.made / "image.png")
        for name, lr in (("run", ["0.1"]), ("sweep", ["0.1", "0.2"])):
            made = ["--dataset", "data", "--epochs", "1", "--no-figures", "--lr", *lr, "--logdir", "."]
            judge(in_child("train.py", [*made, "--run-name", name], root), (0,))
        for name in MAINS:
            help = in_child(name, ["--help"], root).stdout
            self.options[name] = dict(re.findall(r"^  (--[\w-]+)( \S)?", help, re.M))  # and whether it takes a value

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        name = chance.choice(["train.py", "train.py", "train.py", "predict.py"])
        arguments = ["--dataset", "data", "--epochs", "1", "--no-figures"]
        if name == "predict.py":
            arguments = chance.choice([["run"], ["run", "image.png"], chance.choices(GOOD + BAD, k=2)])
        options = self.options[name]
        for option in chance.sample(list(options), min(len(options), chance.choice([0, 1, 1, 2, 3]))):
            values = OWN.get(option) or chance.choice([GOOD, GOOD + BAD])
            count = chance.choice([1, 1, 1, 2, 0]) if options[option] else 0
            arguments = [*arguments, option, *chance.choices(values, k=count)]
        shutil.copytree(self.made, folder / "cwd")
        ended = in_child(name, arguments, folder)
        counts[f"{name} {ended.returncode}"] += 1
        judge(ended, (0, 1, 2) if "compare" in arguments else (0, 2))


def damage(content: bytes, chance: random.Random) -> bytes:
    """Do what a disk, a network or an editor may do to bytes: flip a bit, cut the end off, or overwrite a part."""
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at, kind = chance.randint(0, len(damaged)), chance.choice(["flip", "cut", "overwrite"])
        new = b"" if kind == "cut" else chance.randbytes(chance.choice([1, 4, 100]))
        if kind == "flip":
            new = bytes(byte ^ 1 << chance.randrange(8) for byte in damaged[at : at + 1])
        damaged[at : None if kind == "cut" else at + len(new)] = new
    return bytes(damaged)


class Files:
    """Attacks with one damaged or exchanged file each; the cases count which it was, and whether it was refused."""

    def __init__(self, root: Path):
        self.root, self.resumed = root, {}
        for side, name in ((5, "idx"), (6, "idx.gz")):
            make_folder(root / name, 70, 20, 3, side, gz=name == "idx.gz")
            for epochs in ("2", "3"):
                made = ["--dataset", str(root / name), "--epochs", epochs, "--batch-size", "16", "--no-figures"]
                made += ["--logdir", str(root), "--run-name", f"{name}-{epochs}"]
                judge(in_child("train.py", made, root), (0,))
            self.resumed[name] = rows(root / f"{name}-3")
        self.sources = [path for path in root.glob("idx*/*") if path.name.startswith((*RUN_FILES, *STEMS))]

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        name, file = chance.choice(list(self.resumed)), chance.choice([*RUN_FILES, *RUN_FILES, *STEMS])
        run, dataset = folder / "run", self.root / name
        shutil.copytree(self.root / f"{name}-2", run)
        path = run / file if file in RUN_FILES else dataset / (file + name.removeprefix("idx"))
        sound, source = path.read_bytes(), chance.choice([*[None] * 4, chance.choice(self.sources)])
        commands = [["predict.py", str(run)], ["train.py", "--resume", str(run), "--epochs", "3", "--no-figures"]]
        if file in STEMS:
            commands.append(["train.py", "--dataset", str(dataset), "--epochs", "1", "--no-figures"])
        command, *arguments = chance.choice(commands)
        path.write_bytes(source.read_bytes() if source else damage(sound, chance))
        ended = in_child(command, arguments, folder)
        path.write_bytes(sound)
        counts[f"{file} {'refused' if ended.returncode else 'read'}"] += 1
        judge(ended, what=f"with {source or 'damage'} as {path}")
        # What can still be read of a damaged checkpoint must be what was written.
        if file == "checkpoint.pt" and not source and "--resume" in arguments and ended.returncode == 0:
            assert rows(run) == self.resumed[name], f"another result\n{ended.stdout}"
