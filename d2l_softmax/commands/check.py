"""The command `check.py`: is a learner's own softmax regression right?"""

import argparse

from d2l_softmax.commands.command_line import Parser, program, run_command
from d2l_softmax.errors import UserError


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        prog=program(),
        description="Compare the pieces of your own softmax regression with PyTorch's, and say which is wrong, how, "
        "and what to change.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="a Python file")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 all right, 1 something is wrong, 2 nothing could be checked."""
    return run_command(program(), lambda: _check(parser().parse_args(arguments)))


def _check(options: argparse.Namespace) -> int:
    from d2l_softmax.check import check

    report = check(path=options.file)
    print(report)
    if all(finding.sign == "·" for finding in report.findings):
        raise UserError(f"{options.file}: nothing could be checked")
    return 0 if report.ok else 1
