"""The command line: settings in, the table and the way to the curves out."""

import argparse
import os
import shlex
import shutil
import sys
import warnings
from dataclasses import fields
from pathlib import Path

from d2l_softmax.data import DATASETS
from d2l_softmax.errors import UserError
from d2l_softmax.experiment import run
from d2l_softmax.modes import MODES
from d2l_softmax.settings import DTYPES, Settings


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error here."""

    def error(self, message: str) -> None:
        raise UserError(f"{message} (see --help)")


def parser() -> argparse.ArgumentParser:
    """Build the parser; the defaults are those of `Settings`."""
    parser = _Parser(
        prog="train.py",
        description="Train softmax regression and write the run into a folder that TensorBoard shows.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what to train")
    what.add_argument("--mode", metavar="|".join(MODES), help="which implementation")
    what.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    what.add_argument("--batch-size", type=int, metavar="N", help="images a step")
    what.add_argument("--lr", type=float, metavar="X", help="learning rate")
    what.add_argument("--seed", type=int, metavar="N", help="of the initial weights and of the order of the images")
    data = parser.add_argument_group("on what")
    data.add_argument(
        "--dataset",
        metavar="NAME|FOLDER",
        help=f"{', '.join(DATASETS)}, or a folder holding four IDX files; auto is Fashion-MNIST or, "
        "where that cannot be had, digits",
    )
    data.add_argument("--data-dir", metavar="DIR", help="where data sets lie and are downloaded to")
    data.add_argument(
        "--resize",
        type=int,
        metavar="N",
        default=argparse.SUPPRESS,
        help="scale the images to N×N pixels; default: as they are",
    )
    where = parser.add_argument_group("where and how")
    where.add_argument("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="where to compute")
    where.add_argument("--dtype", metavar="|".join(DTYPES), help="precision of the arithmetic")
    where.add_argument("--logdir", metavar="DIR", help="the folder of all runs")
    where.add_argument(
        "--run-name",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help="name of the run's folder; default: data set, mode and time",
    )
    parser.set_defaults(**{field.name: field.default for field in fields(Settings) if field.default is not None})
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for the user's to mend, 130 for Ctrl-C."""
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    try:
        finished = run(Settings(**vars(parser().parse_args(arguments))))
        last = finished.results[-1]
        print(
            f"\nafter epoch {last.epoch}: train loss {last.train_loss:.4f}, train accuracy "
            f"{last.train_accuracy:.4f}, test loss {last.test_loss:.4f}, test accuracy {last.test_accuracy:.4f}\n"
            f"the run:    {finished.folder}\n"
            f"its curves: {_tensorboard()} --logdir {shlex.quote(str(finished.folder.parent))}"
        )
        sys.stdout.flush()
    except UserError as error:
        print(f"train.py: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train.py: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read stdout has gone; the run's folder has all that was done. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _tensorboard() -> str:
    """The command that starts this environment's TensorBoard from here."""
    beside = Path(sys.executable).parent / "tensorboard"
    if not beside.exists() or shutil.which("tensorboard") == str(beside):
        return "tensorboard"
    return shlex.quote(os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside))
