"""The command line of a benchmark, and what was measured, with the machine and the versions it was measured on."""

import argparse
import json
import os
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from d2l_softmax.commands.errors_and_interrupts import Parser, run_command
from d2l_softmax.errors import UserError


def parser(name: str, description: str, rounds: int, files: str, *, data: bool = True) -> Parser:
    """The options of a benchmark: where its `data` are, if it needs any, how many rounds, where its `files` go."""
    parser = Parser(prog=f"benchmarks.{name}", description=description.split("\n", 1)[0])
    if data:
        parser.add_argument("--data-dir", default="data", help="holds FashionMNIST/raw/")
    parser.add_argument("--rounds", type=int, default=rounds, help="timed turns of each")
    parser.add_argument("--out", type=Path, help=f"folder for {files}")
    return parser


def run(parser: Parser, measure: Callable[[argparse.Namespace], None], arguments: list[str] | None) -> int:
    """Call `measure` with the parsed options; the exit status is 2 for something that the user can fix."""

    def command() -> int:
        options = parser.parse_args(arguments)
        if options.rounds < 1:
            raise UserError(f"--rounds must be a whole number of at least 1, got {options.rounds}")
        measure(options)
        return 0

    return run_command(command)


def write(path: Path, result: dict) -> None:
    """Write `result` as JSON, with where and when it was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(result | circumstances(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def circumstances() -> dict:
    """The date, the machine and the versions."""
    return {
        "date": date.today().isoformat(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _cpu() -> str:
    """The processor's name, or at least its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
