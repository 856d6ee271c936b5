"""The command `predict.py`: the class of images, and its probability."""

import argparse
import os
from pathlib import Path

from d2l_softmax.commands.errors_and_interrupts import Parser, program, run_command
from d2l_softmax.errors import UserError

COUNT, FIGURE = 10, "predicted.png"


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        prog=program(),
        description="Print the class that a trained run gives each image, and its probability, and draw the images "
        f"in RUN/{FIGURE}. Without an image, the first {COUNT} test images of the run's data set are classified and "
        "compared with the truth.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=_path, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "images",
        nargs="*",
        default=[],
        type=_path,
        metavar="IMAGE|FOLDER",
        help="images, of any format that Pillow reads, or folders of them; they are made grey and scaled to the size "
        "of the training images",
    )
    parser.add_argument(
        "--invert",
        action="store_true",
        help="exchange black and white: for dark on light where the training images are light on dark",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where the data set, or your own folder of data, is now (default: where it was for training)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done. 2: something that the user can fix; then nothing has been printed on stdout. 130: Ctrl-C.
    """
    return run_command(lambda: _predict(parser().parse_intermixed_args(arguments)))


def _predict(options: argparse.Namespace) -> int:
    images = options.images
    if options.invert and not images:
        raise UserError("--invert is for images, but none is named; test images are what the run was trained on")
    if options.data_dir is not None and images:
        raise UserError("--data-dir is for the test images of the run's data set, but other images are named")
    # Imported once the arguments are known to be right: --help and mistakes need not wait for it.
    from d2l_softmax.experiment import classifier
    from d2l_softmax.record import pictures

    run = classifier.load_classifier(options.run, options.data_dir)
    classes = run.data["classes"]
    title = f"{run.folder}, after epoch {len(run.state['history'])}"
    if images:
        names, probabilities, drawn = classifier.classify_images(run, images, options.invert)
        heads = ["image", "class", "probability"]
    else:
        names, probabilities, drawn = classifier.classify_test_images(run, COUNT)
        heads = ["image", "true class", "class", "probability"]
        right = sum(classes[k] == true for (_, true), k in zip(names, probabilities.argmax(dim=1), strict=True))
        title += f"\n{right} of the first {len(names)} test images of {run.data['name']} right"
    pictures.save(drawn, run.folder / FIGURE)
    title += f"; see {run.folder / FIGURE}"
    best = zip(*(values.tolist() for values in reversed(probabilities.max(dim=1))), strict=True)
    rows = [heads, *([*name, classes[k], f"{p:.4f}"] for name, (k, p) in zip(names, best, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"{title}\n", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows), sep="\n")
    return 0


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text))
