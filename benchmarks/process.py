"""Whole processes: `train.py` against the script that everyone copies, from the start of Python to its end.

    python -m benchmarks.process --data-dir DIR

Both train ten epochs on Fashion-MNIST from extracted files, taking turns. Beside them stand an empty process that
only imports torch, and the time until training's first epoch begins, from extracted and from gzipped files. With
`--out DIR` the figures are also written to `process.json`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peers import extract
from benchmarks.report import parser, run, write
from benchmarks.speed import summary
from d2l_softmax import load_dataset

ROOT = Path(__file__).resolve().parent.parent
EPOCHS = 10


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write it."""
    return run(parser("process", __doc__, 5, "process.json"), _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    dataset = load_dataset("fashion-mnist", options.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        extract(dataset, Path(folder))
        train = [
            "train.py",
            "--mode",
            "concise",
            "--dataset",
            "fashion-mnist",
            "--no-figures",
            "--logdir",
            f"{folder}/runs",
        ]
        commands = {
            "import torch": ["-c", "import torch"],
            "to the first epoch": [*train, "--data-dir", folder, "--epochs", "1"],
            "to the first epoch, gzipped": [*train, "--data-dir", str(options.data_dir), "--epochs", "1"],
            "train.py": [*train, "--data-dir", folder, "--epochs", str(EPOCHS)],
            "textbook": ["benchmarks/textbook.py", folder, str(EPOCHS)],
        }
        seconds = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                seconds[name].append(_seconds(command, until="epoch " if "first epoch" in name else None))
    medians, to = summary(seconds, of=["train.py", "import torch"]).values()
    ratios = {
        "textbook ÷ train.py": to["train.py"]["textbook"],
        "to the first epoch ÷ import torch": to["import torch"]["to the first epoch"],
        "to the first epoch, gzipped ÷ import torch": to["import torch"]["to the first epoch, gzipped"],
    }
    print(f"seconds of a process: median of {options.rounds}")
    for name, value in medians.items():
        print(f"{name:28s} {value:7.2f}")
    for name, value in ratios.items():
        print(f"{name:44s} {value:5.2f}×")
    if options.out is not None:
        write(options.out / "process.json", {"rounds": options.rounds, "seconds": medians, "ratios": ratios})


def _seconds(command: list[str], until: str | None = None) -> float:
    """Seconds from the start of a process to its end or, with `until`, to the line that begins so."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if until is not None and line.startswith(until):
                seconds = time.perf_counter() - start
        process.wait()
        if until is None:
            seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
