"""How time and memory grow: with the number of images, and with the size of batches, classes and images.

    python -m benchmarks.sizes --out benchmarks/results

Images are made up, bytes drawn at random. For the growth they lie in extracted IDX files, which are mapped, and each
size has a process of its own, whose peak of memory is measured and in which all images take turns with the first
60,000 alone, because the machine's speed changes by the minute. For the shapes, each mode takes turns with the floor:
gathering and converting every batch, and the matrix products, nothing else. Evaluation is left out by making the test
set tiny. With `--out DIR` the figures are written to `sizes.json` and, as a table, to `sizes.md`.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers import floor, idx_header, mode
from benchmarks.report import parser, run, write
from benchmarks.speed import interleaved, summary
from d2l_softmax import MODES, Dataset, load_dataset

FEW = 60_000
IMAGES = (FEW, 10 * FEW, 100 * FEW)
# Batch size, classes, side of the images in pixels, and how many images: enough for a turn, not more.
SHAPES = (
    (1, 10, 28, 6_000),
    (16, 10, 28, 60_000),
    (64, 10, 28, 60_000),
    (256, 10, 28, 60_000),
    (1_024, 10, 28, 60_000),
    (8_192, 10, 28, 60_000),
    (60_000, 10, 28, 60_000),
    (256, 100, 28, 60_000),
    (256, 1_000, 28, 30_000),
    (256, 10, 56, 30_000),
    (256, 10, 112, 8_000),
    (256, 10, 224, 2_000),
)


def made(images: int, classes: int = 10, side: int = 28) -> Dataset:
    """A data set of noise with 16 test images."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images + 16, 1, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (images + 16,), generator=generator)
    names = tuple(map(str, range(classes)))
    return Dataset("made", pixels[:-16], labels[:-16], pixels[-16:], labels[-16:], names)


def write_made(folder: Path, images: int) -> None:
    """Write a data set of noise as four extracted IDX files, a part at a time."""
    random = np.random.default_rng(0)
    for split, count in (("train", images), ("t10k", 16)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            with (folder / f"{split}-{kind}-ubyte").open("wb") as file:
                file.write(idx_header(*shape))
                for start in range(0, count, 60_000):
                    part = (min(60_000, count - start), *shape[1:])
                    file.write(random.integers(0, 256 if len(shape) == 3 else 10, part, np.uint8).tobytes())


def train_in_a_process(folder: str, rounds: int, connection) -> None:
    """Send the time per image, its ratio to that of the first images alone, and the peak of memory."""
    whole = load_dataset(folder)
    first = replace(whole, train_images=whole.train_images[:FEW], train_labels=whole.train_labels[:FEW])
    seconds = interleaved({"whole": mode("concise", whole), "first": mode("concise", first)}, rounds)
    whole_each, first_each = (
        [value / len(dataset.train_labels) for value in values]
        for dataset, values in zip((whole, first), seconds.values(), strict=True)
    )
    ratio = statistics.median(a / b for a, b in zip(whole_each, first_each, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    connection.send({"seconds_an_image": statistics.median(whole_each), "ratio": ratio, "peak": peak})


def growth(sizes: Iterable[int], rounds: int) -> Iterator[dict]:
    """Train on ever more images, each number in a new process; the first, on 256 images, is the empty run."""
    context = multiprocessing.get_context("spawn")
    for images in (256, *sizes):
        with tempfile.TemporaryDirectory() as folder:
            write_made(Path(folder), images)
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=train_in_a_process, args=(folder, rounds, sender))
            process.start()
            sender.close()
            measured = receiver.recv()
            process.join()
        yield {"images": images, "bytes": images * 28 * 28} | measured


def shapes(rounds: int) -> Iterator[dict]:
    """Images per second of each mode and the floor, and the floor's seconds as a fraction of each mode's."""
    for batch_size, classes, side, images in SHAPES:
        dataset = made(images, classes, side)
        contestants = {name: mode(name, dataset, batch_size) for name in MODES}
        contestants["floor"] = floor(dataset, batch_size)
        result = summary(interleaved(contestants, rounds))
        yield {
            "batch_size": batch_size,
            "classes": classes,
            "side": side,
            "images_a_second": {name: images / seconds for name, seconds in result["seconds"].items()},
            "fraction_of_floor": {name: result["ratios"][name]["floor"] for name in MODES},
        }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables and write them."""
    options = parser("sizes", __doc__, 5, "sizes.json and sizes.md", data=False)
    options.add_argument("--images", type=int, nargs="+", default=IMAGES, metavar="N", help="of images to grow to")
    return run(options, _measure, arguments)


def _measure(options: argparse.Namespace) -> None:
    lines: list[str] = []

    def say(*cells: str) -> None:
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)

    say("images", "µs per image", "÷ the first 60,000's", "peak memory, less the empty run's, ÷ bytes of images")
    say(*["---"] * 4)
    empty, *grown = growth(options.images, options.rounds)
    for row in grown:
        row["memory"] = (row["peak"] - empty["peak"]) / row["bytes"]
        micro = row["seconds_an_image"] * 1e6
        say(f"{row['images']:,}", f"{micro:.2f}", f"{row['ratio']:.2f}", f"{row['memory']:.2f}")
    lines.append("")
    print()
    say("batch size", "classes", "pixels", *(f"{name}: images/s | of the floor" for name in MODES))
    say(*["---"] * (3 + 2 * len(MODES)))
    measured = []
    for row in shapes(options.rounds):
        measured.append(row)
        cells = ((row["images_a_second"][name], row["fraction_of_floor"][name]) for name in MODES)
        fixed = (f"{row['batch_size']:,}", f"{row['classes']:,}", f"{row['side']}×{row['side']}")
        say(*fixed, *(f"{per_second:,.0f} | {of_floor:.0%}" for per_second, of_floor in cells))
    if options.out is not None:
        write(
            options.out / "sizes.json",
            {"rounds": options.rounds, "empty": empty, "growth": grown, "shapes": measured},
        )
        (options.out / "sizes.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
