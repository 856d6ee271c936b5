"""Whole processes as they are typed: `python train.py`, with pictures, and the script that everyone copies.

    python -m benchmarks.process --data-dir DIR

All train ten epochs on Fashion-MNIST, taking turns: each mode with its defaults, and the textbook script, from
extracted files. Beside them is a process that only imports torch. "to the first line" ends when the line of the first
epoch is printed. A sweep of sixteen learning rates is measured with and without pictures. With `--out DIR` the
figures are also written to `process.json`.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peers import extract
from benchmarks.report import parser, run, write
from d2l_softmax import MODES, load_dataset

ROOT = Path(__file__).resolve().parent.parent
EPOCHS = 10


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write it."""
    return run(parser("process", __doc__, 5, "process.json"), _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    dataset = load_dataset("fashion-mnist", options.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        extract(dataset, Path(folder))
        extracted = ["train.py", "--data-dir", folder, "--logdir", f"{folder}/runs"]
        rates = ["--lr", *(f"{0.01 * (k + 1):.2f}" for k in range(16))]
        commands = {
            "import torch": ["-c", "import torch"],
            **{f"train.py --mode {mode}": [*extracted, "--mode", mode] for mode in MODES},
            "gzipped files": ["train.py", "--data-dir", str(options.data_dir), "--logdir", f"{folder}/runs"],
            "textbook": ["benchmarks/textbook.py", folder, str(EPOCHS)],
            "sweep": [*extracted, *rates],
            "sweep --no-figures": [*extracted, *rates, "--no-figures"],
        }
        seconds = {name: [] for name in commands} | {f"{name}, to the first line": [] for name in commands}
        training = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                whole, first_line, epochs = _seconds(command)
                seconds[name].append(whole)
                seconds[f"{name}, to the first line"].append(first_line)
                training[name].append(epochs)
    medians = {name: statistics.median(values) for name, values in seconds.items() if None not in values}
    scratch, torch_only = medians["train.py --mode scratch"], medians["import torch"]
    epochs = statistics.median(training["train.py --mode scratch"])
    ratios = {
        "textbook ÷ train.py --mode scratch": medians["textbook"] / scratch,
        "to the first line ÷ import torch": medians["train.py --mode scratch, to the first line"] / torch_only,
        "train.py --mode scratch ÷ (import torch + its epochs)": scratch / (torch_only + epochs),
        "sweep ÷ sweep --no-figures": medians["sweep"] / medians["sweep --no-figures"],
    }
    print(f"seconds of a process: median of {options.rounds}")
    for name, value in medians.items():
        print(f"{name:42s} {value:7.2f}")
    for name, value in ratios.items():
        print(f"{name:54s} {value:5.2f}×")
    if options.out is not None:
        result = {"rounds": options.rounds, "epochs": EPOCHS, "seconds": medians, "ratios": ratios}
        write(options.out / "process.json", result)


def _seconds(command: list[str]) -> tuple[float, float | None, float]:
    """Seconds of a process: all of it, to the line of its first epoch, if it prints one, and those of its epochs."""
    start = time.perf_counter()
    first_line, epochs = None, 0.0
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if match := re.fullmatch(r" +\d+  .*  +(\d+\.\d+)\n", line):
                epochs += float(match[1])
                first_line = first_line or time.perf_counter() - start
        process.wait()
        whole = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return whole, first_line, epochs


if __name__ == "__main__":
    sys.exit(main())
