"""The command `train.py`: settings in; the table, and how to see the curves, out."""

import argparse
import itertools
import math
import os
import shlex
import sys
from pathlib import Path

from d2l_softmax.commands.errors_and_interrupts import Parser, interrupted, program, run_command
from d2l_softmax.data.catalogue import DATASETS, find_own
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.settings import CHOICES, COMPARE, SWEPT, Settings
from d2l_softmax.modes import MODES, is_own_file
from d2l_softmax.parallel import launched
from d2l_softmax.record.run_folder import CONFIG

# Fall of the training loss in the last epoch, as a share of it, from which training should go on.
STEEP = 0.03


def parser() -> argparse.ArgumentParser:
    """Build the parser. What it returns has only what was given; the defaults are those of `Settings`."""
    parser = Parser(
        prog=program(),
        description="Train softmax regression and write the run into a folder that TensorBoard shows.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )

    def add(group, option: str, help: str, metavar: str | None = None, **how) -> None:
        name = option.strip("-").replace("-", "_")
        default = getattr(Settings, name)
        how |= {"nargs": "+"} if name in SWEPT else {}
        metavar = metavar or "|".join(CHOICES[name])
        help += "" if default is None else f" (default: {default})"
        group.add_argument(option, help=help, metavar=metavar, **how)

    group = parser.add_argument_group("what to train")
    explained = f"FILE.py is your own; {COMPARE} trains several side by side and fails if they differ"
    add(group, "--mode", f"which implementation; {explained}")
    which = f"which to compare (default: {','.join(MODES)})"
    group.add_argument("--modes", nargs="+", metavar="A,B,…", help=which)
    add(group, "--epochs", "passes over the training images", "N", type=int)
    add(group, "--lr", "learning rate; several values, here or below, make a sweep", "X", type=float)
    add(group, "--lr-schedule", "how it changes from epoch to epoch")
    add(group, "--batch-size", "images per step", "N", type=int)
    add(group, "--momentum", "of gradient descent", "X", type=float)
    add(group, "--weight-decay", "factor of the L2 penalty", "X", type=float)
    add(group, "--init", "how the weights are drawn")
    add(group, "--seed", "of the weights and of the order of the images", "N", type=int)
    group = parser.add_argument_group("on which data")
    names = f"{', '.join(DATASETS)}, or a folder of your own images, one folder for each class, or of four IDX files"
    fallback = "auto is Fashion-MNIST or, where that is not available, digits"
    add(group, "--dataset", f"{names}; {fallback}", "NAME|FOLDER")
    add(group, "--data-dir", "where data sets are found and downloaded to", "DIR")
    add(group, "--pixels", "scaled to 0 … 1, or left as they are")
    add(group, "--resize", "scale to N×N pixels, whatever the proportions; default: leave", "N", type=int)
    add(group, "--validation", "training images to hold out and report on", "N", type=int)
    group = parser.add_argument_group("where and how")
    add(group, "--device", "where to compute", "auto|cpu|cuda|cuda:N|mps")
    add(group, "--dtype", "precision of the arithmetic")
    group.add_argument("--no-figures", dest="figures", action="store_false", help="draw no pictures")
    add(group, "--logdir", "the folder of all runs", "DIR", type=os.path.expanduser)
    add(group, "--run-name", "of the run's folder; default: data set, mode and time", "NAME")
    explained = "continue the run in this folder; with --epochs N, until it has N in all"
    group.add_argument("--resume", metavar="RUN", type=os.path.expanduser, help=explained)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done. 1: the compared modes differ. 2: something that the user can fix. 130: Ctrl-C.
    """
    return run_command(lambda: _dispatch(vars(parser().parse_args(arguments))))


def _dispatch(options: dict) -> int:
    given = options.pop("modes", None)
    modes = " ".join(MODES if given is None else given).replace(",", " ").split()
    comparing = options.get("mode") == COMPARE
    if given is not None and not comparing:
        raise UserError(f"--modes {','.join(modes)} is for --mode {COMPARE}")
    for name in modes if comparing else [options.get("mode", "")]:
        if is_own_file(name) and not os.path.isfile(name):
            raise UserError(f"{name}: there is no such file")
    dataset = options.get("dataset", Settings.dataset)
    if dataset not in DATASETS:
        find_own(dataset)
        # A run can be resumed from any folder.
        options["dataset"] = os.path.abspath(os.path.expanduser(dataset))
    swept = {name: options[name] for name in SWEPT if name in options}
    combinations = [options | dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    sweeping, options = len(combinations) > 1, combinations[0]
    if sweeping and ("resume" in options or comparing or is_own_file(options.get("mode", ""))):
        raise UserError("several values make a sweep: no --resume, no --mode compare and no file of your own")
    if launched() and (sweeping or comparing):
        what = "a sweep" if sweeping else "a comparison"
        raise UserError(f"torchrun's processes train one run together, not {what}: start it with python")
    # What trains is imported once the arguments are known to be right: --help and mistakes need not wait for it.
    if sweeping:
        settings = [Settings(**combination) for combination in combinations]
        from d2l_softmax.experiment.sweep import sweep

        return _end_of_sweep(sweep(settings))
    if "resume" in options:
        from d2l_softmax.experiment.resume import resume

        return _end_of_run(resume(Path(options.pop("resume")), options))
    if comparing:
        settings = [Settings(**(options | {"mode": mode})) for mode in modes]
        from d2l_softmax.experiment.compare import compare

        return _end_of_comparison(compare(settings))
    settings = Settings(**options)
    from d2l_softmax.experiment.run import run

    return _end_of_run(run(settings))


def _end_of_run(run) -> int:
    if run.history:
        last = run.history[-1]
        print(
            f"\nafter epoch {last.epoch}: train loss {last.train_loss:.4f}, train accuracy "
            f"{last.train_accuracy:.4f}, test loss {last.test_loss:.4f}, test accuracy {last.test_accuracy:.4f}"
        )
        if not run.interrupted:
            _advise(run)
    _say_what(run.settings.mode)
    _say_where(run.folder, run.folder.parent)
    if not run.interrupted:
        return 0
    command = f"python {program()}" if program().endswith(".py") else program()
    begun = (run.folder / CONFIG).exists()
    return interrupted(f"to go on: {command} --resume {shlex.quote(str(run.folder))}" if begun else "")


def _advise(run) -> None:
    """Print one line where the training loss at the end is high or still falls fast; nothing where neither is so."""
    guessing, losses = math.log(len(run.dataset.classes)), [result.train_loss for result in run.history]
    if losses[-1] > guessing / 2 and run.dataset.description["border"] > run.dataset.max_value / 2:
        print("The images have a light background and need small steps: try --lr 0.01 --batch-size 16 --epochs 30.")
    elif losses[-1] > guessing:
        print(
            f"The train loss is above {guessing:.4f}, that of guessing: try a smaller --lr, {run.settings.lr / 10:g}."
        )
    elif len(losses) > 1 and (falls := 1 - losses[-1] / losses[-2]) > STEEP:
        advice = "try a larger --lr, a smaller --batch-size or more --epochs"
        print(f"The train loss still falls by {falls:.0%} per epoch: {advice}.")


def _end_of_sweep(sweep) -> int:
    table = list(sweep.table())
    first, *widths, _ = (max(map(len, cells)) for cells in zip(*table, strict=True))
    print()
    for value, *cells, remark in table:
        print("  ".join([value.ljust(first), *map(str.rjust, cells, widths), remark]).rstrip())
    if sweep.measure == "test_accuracy":
        print("Choosing a value by its test accuracy flatters it: hold images out with --validation N to choose by.")
    _say_where(sweep.folder, sweep.folder)
    return interrupted("what is complete is kept") if sweep.interrupted else 0


def _end_of_comparison(comparison) -> int:
    print(f"\n{comparison.verdict}")
    _say_what(*comparison.modes)
    _say_where(comparison.folder, comparison.folder)
    if comparison.interrupted:
        return interrupted("what is complete is kept")
    if not comparison.is_the_same:
        own = list(filter(is_own_file, comparison.modes))
        advice = f"; run `python check.py {own[0]}` to see which piece differs" if own else ""
        print(f"{program()}: {comparison.verdict}{advice}", file=sys.stderr)
        return 1
    return 0


def _say_what(*modes: str) -> None:
    """Print what of a learner's file was trained."""
    for mode in filter(is_own_file, modes):
        own = "its net, loss and updater, in this program's loop, which sets the gradients to zero"
        print(f"{mode}: {own}; `python check.py {mode}` judges the rest")


def _say_where(folder: Path, logdir: Path) -> None:
    """Print where the run, its curves and its pictures are."""
    curves = f"tensorboard --logdir {shlex.quote(str(logdir))}  (there, set Smoothing to 0)"
    print(f"the run:    {folder}\nits curves: {curves}")
    if any(folder.glob("*.png")):
        places = [folder, *sorted({path.parent for path in folder.glob("*/*.png")})]
        print("pictures:   " + "\n            ".join(f"{place}/*.png" for place in places))
