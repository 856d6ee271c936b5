"""The command `train.py`: settings in; the table, and how to see the curves, out."""

import argparse
import itertools
import os
import shlex
import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from d2l_softmax.commands.command_line import Parser, run_command
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.settings import SWEPT, Settings
from d2l_softmax.modes import MODES

# What trains is imported once the arguments are known to be right, so that --help and mistakes need not wait for it.
if TYPE_CHECKING:
    from d2l_softmax.experiment.compare import Comparison
    from d2l_softmax.experiment.run import Run
    from d2l_softmax.experiment.sweep import Sweep

COMPARE = "compare"


def parser() -> argparse.ArgumentParser:
    """Build the parser. What it returns has only what was given; the defaults are those of `Settings`."""
    parser = Parser(
        prog="train.py",
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
    return run_command("train.py", lambda: _dispatch(vars(parser().parse_args(arguments))))


def _dispatch(options: dict) -> int:
    modes = options.pop("modes", None)
    comparing = options.get("mode") == COMPARE
    if modes is not None and not comparing:
        raise UserError(f"--modes {modes} is for --mode {COMPARE}")
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

        from d2l_softmax.experiment.sweep import sweep

        return _summarize_sweep(sweep(settings))
    (options,) = combinations
    if "resume" in options:
        folder = Path(options.pop("resume"))
        if not folder.is_dir():
            raise UserError(f"--resume {folder}: there is no such folder; name a run's folder, as train.py prints it")

        from d2l_softmax.experiment.resume import resume

        ended = resume(folder, options)
        summarize = {"Run": _summarize_run, "Sweep": _summarize_sweep, "Comparison": _summarize_comparison}
        return summarize[type(ended).__name__](ended)
    if comparing:
        _refuse_in_parallel("a comparison")
        modes = (",".join(MODES) if modes is None else modes).split(",")
        settings, *_ = [Settings(**(options | {"mode": mode})) for mode in modes]

        from d2l_softmax.experiment.compare import compare

        return _summarize_comparison(compare(settings, modes))
    settings = Settings(**options)

    from d2l_softmax.experiment.run import run

    return _summarize_run(run(settings))


def _refuse_in_parallel(what: str) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
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
    width = max(map(len, sweep.results))
    print(f"\n{'':{width}}  train loss  train acc  {judge} loss  {judge} acc   sorted by {judge} accuracy")
    for name, results in sweep.results.items():
        cells, note = "", "not begun"
        if results:
            figures, note = results[-1]._asdict(), ""
            cells = (
                f"{figures['train_loss']:10.4f}  {figures['train_accuracy']:9.4f}  "
                f"{figures[f'{judge}_loss']:{len(judge) + 5}.4f}  {figures[f'{judge}_accuracy']:{len(judge) + 4}.4f}"
            )
        if name in sweep.group.diverged:
            note = f"diverged in epoch {sweep.group.diverged[name]}"
        print(f"{name:{width}}  {cells}  {note}".rstrip())
    if judge == "test":
        print("Choosing a value by its test accuracy flatters it: hold images out with --validation N to choose by.")
    return _say_where(sweep.group.folder, sweep.group.folder, sweep.stopped_by)


def _summarize_comparison(comparison: "Comparison") -> int:
    said = "nothing has been compared"
    if comparison.drifts:
        last = comparison.drifts[-1]
        said = (
            f"after epoch {len(comparison.drifts)}: {', '.join(comparison.modes)} differ by at most "
            f"{last.weights:.1e} in a weight and {last.loss:.1e} in a loss; rounding explains "
            f"{last.explained_weights:.1e} and {last.explained_loss:.1e}"
        )
    print(f"\n{said}")
    status = _say_where(comparison.folder, comparison.folder, comparison.stopped_by)
    if not all(drift.is_rounding for drift in comparison.drifts):
        print(f"train.py: the modes have drifted apart: {said}", file=sys.stderr)
        return 1
    return status


def _say_where(folder: Path, logdir: Path, stopped_by: int | None) -> int:
    """Print where the run and its curves are and how to resume it; return the exit status."""
    print(f"the run:    {folder}\nits curves: tensorboard --logdir {shlex.quote(str(logdir))}")
    if stopped_by is None:
        return 0
    print(f"to resume:  python train.py --resume {shlex.quote(str(folder))}")
    return 128 + stopped_by
