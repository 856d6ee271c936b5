"""Seconds per epoch, training plus evaluation, of every mode beside its peers, on one machine in one run.

    python -m benchmarks.speed --data-dir DIR

The contestants take turns, so that a machine that slows down slows them all. The table has the median of each one's
turns, and every ratio is one of medians. With `--busy N` only the modes are measured, alone and beside N processes
that never pause. With `--device cuda` the modes, the textbook loop and the one over a `TensorDataset` use the GPU.
With `--out DIR` the figures are also written as `speed.json` and drawn as `speed.png`, or written as
`speed-busy.json` or `speed-cuda.json`.
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from benchmarks.peers import BATCH_SIZE, LR, MOVABLE, PEERS, Epoch, missing, mode
from benchmarks.report import parser, run, write
from d2l_softmax import MODES, load_dataset
from d2l_softmax.device import resolve_device

# Seconds between turns, in which the threads of the last contestant, which wait busily for more, go to sleep.
PAUSE = 0.3
# Seconds that a turn lasts at least: epochs follow each other, as in training, and their mean is the figure.
TURN = 0.5


def interleaved(contestants: dict[str, Epoch], rounds: int) -> dict[str, list[float]]:
    """Seconds per epoch of each contestant in each round, after one epoch that is not counted."""
    epochs = {name: math.ceil(TURN / _timed(contestant, 1)) for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            time.sleep(PAUSE)
            seconds[name].append(_timed(contestant, epochs[name]))
    return seconds


def _timed(contestant: Epoch, epochs: int) -> float:
    start = time.perf_counter()
    for _ in range(epochs):
        contestant()
    return (time.perf_counter() - start) / epochs


def summary(seconds: dict[str, list[float]]) -> dict:
    """The median of each contestant, and the ratio of every other one's median to it."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: {other: medians[other] / medians[name] for other in medians if other != name} for name in medians}
    return {"seconds": medians, "ratios": ratios}


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Let so many processes, each of which wants a core all the time, run beside the block."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def draw(result: dict, path: Path) -> None:
    """A bar for each contestant, on a logarithmic axis."""
    from matplotlib.figure import Figure

    from d2l_softmax.record import pictures

    medians = dict(sorted(result["seconds"].items(), key=lambda item: -item[1]))
    figure = Figure(figsize=(6.4, 3.6), dpi=100, layout="constrained")
    ax = figure.subplots()
    colours = ["#0072B2" if name in MODES else "#999999" for name in medians]
    bars = ax.barh(list(medians), list(medians.values()), color=colours)
    ax.bar_label(bars, [f" {value:.3f}" for value in medians.values()])
    ax.set_xscale("log")
    ax.set_xlim(right=max(medians.values()) * 2.5)
    ax.set_xlabel("seconds per epoch of Fashion-MNIST, training plus evaluation")
    pictures.save(figure, path)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and write it."""
    options = parser("speed", __doc__, 7, "the figures")
    options.add_argument("--busy", type=int, metavar="N", help="measure the modes alone and beside N busy processes")
    options.add_argument("--device", default="cpu", help="cpu, which has the most peers, or cuda")
    return run(options, _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    dataset = load_dataset("fashion-mnist", options.data_dir)
    device = resolve_device(options.device)
    modes = {name: mode(name, dataset, device) for name in MODES}
    about = {"rounds": options.rounds, "batch_size": BATCH_SIZE, "lr": LR}
    print(f"seconds per epoch, training plus evaluation: median of {options.rounds} turns")
    if options.busy is not None:
        alone = summary(interleaved(modes, options.rounds))["seconds"]
        with busy_processes(options.busy):
            beside = summary(interleaved(modes, options.rounds))["seconds"]
        ratios = {name: beside[name] / alone[name] for name in modes}
        for name in modes:
            print(
                f"{name:8s} alone {alone[name]:6.3f}, beside {options.busy} {beside[name]:6.3f}: {ratios[name]:5.2f}×"
            )
        if options.out is not None:
            measured = {"processes": options.busy, "alone": alone, "beside": beside, "ratios": ratios}
            write(options.out / "speed-busy.json", about | measured)
        return
    on_cpu = device.type == "cpu"
    makers = PEERS if on_cpu else {name: partial(PEERS[name], device=device) for name in MOVABLE}
    skipped = [name for name in makers if missing(name)]
    peers = {name: make(dataset) for name, make in makers.items() if name not in skipped}
    result = summary(interleaved(modes | peers, options.rounds)) | {"skipped": skipped} | about
    print(f"{'':15s} {'seconds':>8s}" + "".join(f"{'÷ ' + name:>12s}" for name in modes))
    for name, seconds in result["seconds"].items():
        cells = (result["ratios"][m].get(name) for m in modes)
        print(f"{name:15s} {seconds:8.3f}" + "".join("           –" if c is None else f"{c:11.2f}×" for c in cells))
    for name in skipped:
        print(f"{name:15s}  skipped: not installed (pip install -r requirements-bench.txt)")
    if options.out is not None and on_cpu:
        write(options.out / "speed.json", result)
        draw(result, options.out / "speed.png")
    elif options.out is not None:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        write(options.out / f"speed-{device.type}.json", result | {"device": name})


if __name__ == "__main__":
    sys.exit(main())
