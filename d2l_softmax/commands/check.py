"""The command `check.py`: which piece of a learner's own softmax regression is wrong, how, and what to change."""

import argparse
import textwrap

from d2l_softmax.commands.errors_and_interrupts import Parser, program, run_command
from d2l_softmax.errors import UserError

EPILOG = """\
What is there is checked: softmax, cross_entropy (or loss, criterion, ...), net (model, forward, ...), sgd, updater
(optimizer), accuracy, evaluate_accuracy, train_epoch, and gradients, one_hot, init_params, predict and data_iter, as
functions or as objects with forward and backward, in torch or NumPy. The file is run once, as an import runs it.
It can say what cannot be found out in a dictionary of this name, every entry of which may be left out:

  CHECK = {"names": {"softmax": "normalise"}, "penalty": 0.01, "first_label": 1}

Exit status: 0 if all is right, 1 if something is wrong, 2 if nothing could be checked."""


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    description = (
        "Compare the pieces of your own softmax regression with PyTorch's, and say which is wrong, how, and what to "
        "change. Nothing is trained for long, nothing downloaded."
    )
    parser = Parser(
        prog=program(),
        description=textwrap.fill(description, 118),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="a Python file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 right, 1 something is wrong, 2 nothing could be checked."""
    return run_command(lambda: _check(parser().parse_args(arguments)))


def _check(options: argparse.Namespace) -> int:
    from d2l_softmax.check import check

    report = check(options.file)
    print(report)
    if all(finding.sign == "·" for finding in report.findings):
        raise UserError(f"nothing could be checked in {options.file}: see the remarks")
    return 0 if report.ok else 1
