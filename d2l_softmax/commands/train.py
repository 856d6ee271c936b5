"""The command `train.py`: settings in; the table, and how to see the curves, out."""

import argparse
import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from d2l_softmax.commands.command_line import Parser, postponed_interrupt, program, run_command
from d2l_softmax.data.catalogue import DATASETS, check_dataset
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.settings import SWEPT, Settings, one_of
from d2l_softmax.modes import MODES
from d2l_softmax.scale.launch import check_environment, launched

# What trains is imported once the arguments are known to be right, so that --help and mistakes need not wait for it.
if TYPE_CHECKING:
    from d2l_softmax.experiment.compare import Comparison
    from d2l_softmax.experiment.run import Run
    from d2l_softmax.experiment.sweep import Sweep

COMPARE = "compare"


def parser() -> argparse.ArgumentParser:
    """Build the parser. What it returns has only what was given; the defaults are those of `Settings`."""
    parser = Parser(
        prog=program(),
        description="Train softmax regression and write the run into a folder that TensorBoard shows.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    group = parser
    for setting in fields(Settings):
        if setting.metadata["group"]:
            group = parser.add_argument_group(setting.metadata["group"])
        group.add_argument(*_option(setting), **_meaning(setting))
        if setting.name == "mode":
            group.add_argument("--modes", metavar="A,B,…", help=f"which to compare (default: {','.join(MODES)})")
    group.add_argument(
        "--resume", metavar="RUN", help="continue the run in this folder; with --epochs N, until it has N in all"
    )
    return parser


def _option(setting: Field) -> list[str]:
    option = setting.name.replace("_", "-")
    return [f"--no-{option}" if setting.default is True else f"--{option}"]


def _meaning(setting: Field) -> dict:
    """The arguments of `add_argument` for a setting."""
    meaning = {"dest": setting.name, "help": setting.metadata["help"]}
    if isinstance(setting.default, bool):
        return meaning | {"action": "store_false" if setting.default else "store_true"}
    metavar = setting.metadata["metavar"]
    if setting.name == "mode":
        metavar += f"|{COMPARE}"
        meaning["help"] += "; compare trains several side by side and fails if they drift apart"
    if setting.default is not None:
        meaning["help"] += f" (default: {setting.default})"
    kind = setting.type if isinstance(setting.type, type) else setting.type.__args__[0]
    return meaning | {"type": kind, "metavar": metavar} | ({"nargs": "+"} if setting.metadata["swept"] else {})


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done. 1: the compared modes drifted apart. 2: something that the user can fix. 130: Ctrl-C.
    """
    return run_command(program(), lambda: _dispatch(vars(parser().parse_args(arguments))))


def _dispatch(options: dict) -> int:
    check_environment()
    modes = options.pop("modes", None)
    one_of("--mode", options.get("mode", Settings.mode), [*MODES, COMPARE])
    comparing = options.get("mode") == COMPARE
    if modes is not None and not comparing:
        raise UserError(f"--modes {modes} is for --mode {COMPARE}")
    if "dataset" in options or "resume" not in options:
        check_dataset(options.get("dataset", Settings.dataset), options.get("data_dir", Settings.data_dir))
    if options.get("dataset", Settings.dataset) not in DATASETS:
        # A run can be resumed from any folder.
        options["dataset"] = os.path.abspath(options["dataset"])
    swept = {name: options[name] for name in SWEPT if name in options}
    combinations = [options | dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    if len(combinations) > 1:
        if "resume" in options or comparing:
            raise UserError(
                "several values make a sweep, which cannot be combined with --resume or with --mode compare"
            )
        if options.get("cuda_graph"):
            raise UserError("--cuda-graph is for single runs and comparisons, not for a sweep")
        _refuse_in_parallel("a sweep")
        settings = [Settings(**combination) for combination in combinations]

        with postponed_interrupt():
            from d2l_softmax.experiment.sweep import sweep

        return _summarize_sweep(sweep(settings))
    (options,) = combinations
    if "resume" in options:
        folder = Path(options.pop("resume"))
        if not os.path.isdir(folder):
            raise UserError(f"--resume {folder}: there is no such folder; name a run's folder, as training prints it")

        with postponed_interrupt():
            from d2l_softmax.experiment.resume import resume

        ended = resume(folder, options)
        summarize = {"Run": _summarize_run, "Sweep": _summarize_sweep, "Comparison": _summarize_comparison}
        return summarize[type(ended).__name__](ended)
    if comparing:
        _refuse_in_parallel("a comparison")
        modes = (",".join(MODES) if modes is None else modes).split(",")
        settings, *_ = [Settings(**(options | {"mode": mode})) for mode in modes]

        with postponed_interrupt():
            from d2l_softmax.experiment.compare import compare

        return _summarize_comparison(compare(settings, modes))
    settings = Settings(**options)

    with postponed_interrupt():
        from d2l_softmax.experiment.run import run

    return _summarize_run(run(settings))


def _refuse_in_parallel(what: str) -> None:
    if launched():
        raise UserError(f"torchrun's processes train one run together, not {what}: start it with python")


def _summarize_run(ended: "Run") -> int:
    if ended.results:
        last = ended.results[-1]
        print(
            f"\nafter epoch {last.epoch}: train loss {last.train_loss:.4f}, train accuracy "
            f"{last.train_accuracy:.4f}, test loss {last.test_loss:.4f}, test accuracy {last.test_accuracy:.4f}"
        )
    return _say_where(ended.folder, ended.folder.parent, ended.stopped_by)


def _summarize_sweep(sweep: "Sweep") -> int:
    judge = sweep.measure.removesuffix("_accuracy")
    columns = {"train loss": "train_loss", "train acc": "train_accuracy"}
    columns |= {f"{judge} loss": f"{judge}_loss", f"{judge} acc": f"{judge}_accuracy"}
    seeds = max(map(len, sweep.ranking.values()))
    note = f"; mean ± standard deviation over {seeds} seeds" if seeds > 1 else ""
    table = [["", *columns, f" sorted by {judge} accuracy{note}"]]
    table += [[value, *_cells(sweep, names, columns.values())] for value, names in sweep.ranking.items()]
    first, *widths, _ = (max(map(len, cells)) for cells in zip(*table, strict=True))
    print()
    for value, *cells, remark in table:
        print("  ".join([value.ljust(first), *map(str.rjust, cells, widths), remark]).rstrip())
    if judge == "test":
        print("Choosing a value by its test accuracy flatters it: hold images out with --validation N to choose by.")
    return _say_where(sweep.group.folder, sweep.group.folder, sweep.stopped_by)


def _cells(sweep: "Sweep", names: list[str], columns: Iterable[str]) -> Iterator[str]:
    """The mean of each column over members that differ only in their seed, and what they lack."""
    from d2l_softmax.experiment.ranking import mean_and_deviation

    judged = [name for name in names if not sweep.lacks(name)] or [name for name in names if sweep.results[name]]
    for column in columns:
        figures = [getattr(sweep.results[name][-1], column) for name in judged]
        cell = mean_and_deviation(figures)[: len(figures)] if figures else ()
        yield " ± ".join(f"{figure:.4f}" for figure in cell)
    lacking = {name: sweep.lacks(name) for name in names if sweep.lacks(name)}
    yield "; ".join(f"{name} {what}" if len(names) > 1 else what for name, what in lacking.items())


def _summarize_comparison(comparison: "Comparison") -> int:
    print(f"\n{comparison.verdict}")
    status = _say_where(comparison.folder, comparison.folder, comparison.stopped_by)
    if comparison.has_drifted:
        print(f"{program()}: the modes have drifted apart: {comparison.verdict}", file=sys.stderr)
        return 1
    return status


def _say_where(folder: Path, logdir: Path, stopped_by: int | None) -> int:
    """Print where the run and its curves are and how to resume it; return the exit status."""
    print(f"the run:    {folder}\nits curves: tensorboard --logdir {shlex.quote(str(logdir))}")
    if any(folder.glob("*.png")):
        places = [folder, *sorted({path.parent for path in folder.glob("*/*.png")})]
        print("pictures:   " + "\n            ".join(f"{place}/*.png" for place in places))
    if stopped_by is None:
        return 0
    command = f"python {program()}" if program().endswith(".py") else program()
    print(f"to resume:  {command} --resume {shlex.quote(str(folder))}")
    return 128 + stopped_by
