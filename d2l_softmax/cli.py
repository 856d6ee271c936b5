"""The command line: settings in, the table and the way to the curves out."""

import argparse
import itertools
import os
import shlex
import shutil
import sys
from dataclasses import fields
from pathlib import Path

from d2l_softmax import distributed
from d2l_softmax.command import Parser, run_command
from d2l_softmax.compare import compare
from d2l_softmax.data import DATASETS
from d2l_softmax.errors import UserError
from d2l_softmax.experiment import Run, resume, run
from d2l_softmax.init import INITIALISERS
from d2l_softmax.modes import MODES
from d2l_softmax.schedule import SCHEDULES
from d2l_softmax.settings import DTYPES, PIXELS, Settings
from d2l_softmax.sweep import SWEPT, sweep

COMPARE = "compare"
DEFAULTS = {field.name: field.default for field in fields(Settings)} | {"modes": ",".join(MODES)}


class _Help(argparse.HelpFormatter):
    """Shows the default of each setting; the parser itself leaves out what was not given."""

    def _get_help_string(self, action: argparse.Action) -> str:
        default = DEFAULTS.get(action.dest)
        return action.help if default is None or action.nargs == 0 else f"{action.help} (default: {default})"


def parser() -> argparse.ArgumentParser:
    """Build the parser. What it returns has only what was given; the defaults are those of `Settings`."""
    parser = Parser(
        prog="train.py",
        description="Train softmax regression and write the run into a folder that TensorBoard shows.",
        formatter_class=_Help,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "--mode",
        metavar="|".join([*MODES, COMPARE]),
        help="which implementation; compare trains several side by side and fails if they drift apart",
    )
    what.add_argument("--modes", metavar="A,B,…", help="which to compare")
    what.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    what.add_argument(
        "--batch-size",
        type=int,
        nargs="+",
        metavar="N",
        help="images a step; several values, here or below, make a sweep",
    )
    what.add_argument("--lr", type=float, nargs="+", metavar="X", help="learning rate")
    what.add_argument("--lr-schedule", metavar="|".join(SCHEDULES), help="how it changes from epoch to epoch")
    what.add_argument(
        "--momentum", type=float, nargs="+", metavar="X", help="of the gradient descent, at least 0 and below 1"
    )
    what.add_argument("--weight-decay", type=float, nargs="+", metavar="X", help="factor of the L2 penalty")
    what.add_argument("--init", metavar="|".join(INITIALISERS), help="how the weights are drawn")
    what.add_argument(
        "--seed", type=int, nargs="+", metavar="N", help="of the weights and of the order of the images"
    )
    data = parser.add_argument_group("on what")
    data.add_argument(
        "--dataset",
        metavar="NAME|FOLDER",
        help=f"{', '.join(DATASETS)}, or a folder holding four IDX files; auto is Fashion-MNIST or, "
        "where that cannot be had, digits",
    )
    data.add_argument("--data-dir", metavar="DIR", help="where data sets lie and are downloaded to")
    data.add_argument("--pixels", metavar="|".join(PIXELS), help="scaled to 0 … 1, or left as they are")
    data.add_argument("--resize", type=int, metavar="N", help="scale to N×N pixels; default: leave")
    data.add_argument("--validation", type=int, metavar="N", help="training images to hold back and report on")
    where = parser.add_argument_group("where and how")
    where.add_argument("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="where to compute")
    where.add_argument("--dtype", metavar="|".join(DTYPES), help="precision of the arithmetic")
    where.add_argument(
        "--cuda-graph", action="store_true", help="capture the steps of an epoch once and replay them; CUDA only"
    )
    where.add_argument(
        "--eval-every", type=int, metavar="STEPS", help="evaluate within the epochs too; default: do not"
    )
    where.add_argument(
        "--no-figures", dest="figures", action="store_false", help="draw no pictures; matplotlib is then not loaded"
    )
    where.add_argument("--checkpoint-every", type=int, metavar="N", help="epochs between checkpoints")
    where.add_argument(
        "--resume",
        metavar="RUN",
        help="continue the run in this folder; with --epochs N, until it has N in all",
    )
    where.add_argument("--logdir", metavar="DIR", help="the folder of all runs")
    where.add_argument("--run-name", metavar="NAME", help="of the run's folder; default: data set, mode and time")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done. 1: the compared modes drifted apart. 2: something for the user to mend. 130: Ctrl-C.
    """
    return run_command("train.py", lambda: _dispatch(vars(parser().parse_args(arguments))))


def _dispatch(options: dict) -> int:
    modes = options.pop("modes", None)
    if modes is not None and options.get("mode") != COMPARE:
        raise UserError(f"--modes {modes} is for --mode {COMPARE}")
    swept = {name: options[name] for name in SWEPT if name in options}
    combinations = [options | dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    if len(combinations) > 1:
        if "resume" in options or options.get("mode") == COMPARE:
            raise UserError("several values make a sweep, which goes neither with --resume nor with --mode compare")
        if options.get("cuda_graph"):
            raise UserError("--cuda-graph is for single runs and comparisons, not for a sweep")
        _refuse_in_parallel("a sweep")
        return _sweep([Settings(**combination) for combination in combinations])
    (options,) = combinations
    if "resume" in options:
        return _say_how_it_ended(resume(Path(options.pop("resume")), options))
    if options.get("mode") == COMPARE:
        _refuse_in_parallel("a comparison")
        return _compare((DEFAULTS["modes"] if modes is None else modes).split(","), options)
    return _say_how_it_ended(run(Settings(**options)))


def _refuse_in_parallel(what: str) -> None:
    if distributed.launched():
        raise UserError(f"torchrun's processes train one run together, not {what}: start it with python")


def _sweep(combinations: list[Settings]) -> int:
    finished = sweep(combinations)
    judge = "validation" if combinations[0].validation else "test"
    width = max(len(run.name) for run in finished.runs)
    print(f"\n{'':{width}}  train loss  train acc  {judge} loss  {judge} acc   sorted by {judge} accuracy")
    for one in finished.runs:
        figures = one.last._asdict()
        print(
            f"{one.name:{width}}  {figures['train_loss']:10.4f}  {figures['train_accuracy']:9.4f}  "
            f"{figures[f'{judge}_loss']:{len(judge) + 5}.4f}  {figures[f'{judge}_accuracy']:{len(judge) + 4}.4f}"
            + ("" if one.diverged_in is None else f"   diverged in epoch {one.diverged_in}")
        )
    if judge == "test":
        print("Choosing a value by its test accuracy flatters it: hold images back with --validation N to choose by.")
    _say_where(finished.folder, finished.folder)
    return 0


def _compare(modes: list[str], options: dict) -> int:
    settings = [Settings(**(options | {"mode": mode})) for mode in modes]
    comparison = compare(settings[0], modes)
    last, most = comparison.drifts[-1], comparison.explained[-1]
    said = (
        f"{', '.join(modes)} differ by at most {last.weights:.1e} in a weight and {last.loss:.1e} in a loss; "
        f"rounding in {settings[0].dtype} explains {most.weights:.1e} and {most.loss:.1e}"
    )
    print(f"\nafter epoch {len(comparison.drifts)}: {said}")
    _say_where(comparison.folder, comparison.folder)
    if not comparison.agrees:
        print(f"train.py: the modes have drifted apart: {said}", file=sys.stderr)
        return 1
    return 0


def _say_how_it_ended(ended: Run) -> int:
    if ended.results:
        last = ended.results[-1]
        print(
            f"\nafter epoch {last.epoch}: train loss {last.train_loss:.4f}, train accuracy "
            f"{last.train_accuracy:.4f}, test loss {last.test_loss:.4f}, test accuracy {last.test_accuracy:.4f}"
        )
    _say_where(ended.folder, ended.folder.parent)
    if ended.stopped_by is None:
        return 0
    print(f"to go on:   {_command('python')} train.py --resume {shlex.quote(str(ended.folder))}")
    return 128 + ended.stopped_by


def _say_where(folder: Path, logdir: Path) -> None:
    print(f"the run:    {folder}\nits curves: {_command('tensorboard')} --logdir {shlex.quote(str(logdir))}")


def _command(name: str) -> str:
    """How to call a program of this environment from here."""
    beside = Path(sys.executable).parent / name
    if not beside.exists() or shutil.which(name) == str(beside):
        return name
    return shlex.quote(os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside))
