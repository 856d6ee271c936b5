"""Several values of a setting: a run for each combination, side by side in one folder, ranked with seeds averaged."""

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

import tqdm

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.run import Run, build_learner, data_and_device
from d2l_softmax.experiment.settings import RATES, SWEPT, Settings
from d2l_softmax.metrics import EpochResult
from d2l_softmax.parallel.stack import Stack
from d2l_softmax.record.console import heading
from d2l_softmax.record.run_folder import create_run_folder, write_config, write_csv
from d2l_softmax.record.tensorboard import write_hparams

# Runs trained together at most; more would save little and keep their files and pictures open.
MAX_STACKED = 32


@dataclass
class Sweep:
    """A sweep in a folder.

    values: the settings that set each of its runs apart, by the name of the run.
    measure: the field of `EpochResult` that runs are judged by.
    results: of the epochs of each run; empty if it has not begun.
    diverged: the epoch in which the loss of a run was no longer finite.
    interrupted: whether Ctrl-C has ended it early.
    """

    folder: Path
    values: dict[str, dict[str, float]]
    measure: str
    results: dict[str, list[EpochResult]]
    diverged: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False

    def remark(self, name: str) -> str:
        """Why a run cannot be judged; empty if it can."""
        if name in self.diverged:
            return f"diverged in epoch {self.diverged[name]}"
        return "" if self.results[name] else "not begun"

    def ranking(self) -> dict[str, list[str]]:
        """The names of runs that differ only in their seed, by what else sets them apart, the best mean first."""
        alike = defaultdict(list)
        for name, values in self.values.items():
            others = {setting: value for setting, value in values.items() if setting != "seed"}
            alike[_label(others) or "all seeds"].append(name)

        def mean(label: str) -> float:
            names = alike[label]
            return -math.inf if any(map(self.remark, names)) else fmean(self.last(names, self.measure))

        return {label: alike[label] for label in sorted(alike, key=mean, reverse=True)}

    def last(self, names: list[str], figure: str) -> list[float]:
        """A figure of the last epoch of some runs."""
        return [getattr(self.results[name][-1], figure) for name in names]

    def table(self) -> Iterator[list[str]]:
        """The rows of the table that is printed at the end, the names of the columns first."""
        judge, ranking = self.measure.removesuffix("_accuracy"), self.ranking()
        columns = [f"{split}_{kind}" for split in ("train", judge) for kind in ("loss", "accuracy")]
        seeds = max(map(len, ranking.values()))
        note = f"; mean ± standard deviation over {seeds} seeds" if seeds > 1 else ""
        yield ["", *map(heading, columns), f" sorted by {judge} accuracy{note}"]
        for label, names in ranking.items():
            remarks = {name: why for name in names if (why := self.remark(name))}
            shown = [name for name in names if name not in remarks] or [n for n in names if self.results[n]]
            cells = [_mean_and_deviation(self.last(shown, column)) for column in columns]
            yield [label, *cells, "; ".join(f"{n} {why}" if len(names) > 1 else why for n, why in remarks.items())]


def _label(values: Mapping[str, float]) -> str:
    """The name of a combination of settings: `lr=0.1,momentum=0.9`."""
    return ",".join(f"{setting}={repr(value).removesuffix('.0')}" for setting, value in values.items())


def _mean_and_deviation(values: list[float]) -> str:
    """The mean of some figures and, where there are several, their standard deviation."""
    spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{spread}" if values else ""


def sweep(combinations: list[Settings]) -> Sweep:
    """Train every combination of settings; one that diverges keeps its epochs so far and does not end the sweep.

    Those that differ only in their `RATES` are trained together, as a `Stack`. The runs lie together in one folder,
    each named for what sets it apart, and fill TensorBoard's HParams.

    Raises:
        UserError: as `run`, or two combinations are the same.
    """
    first = combinations[0]
    varied = [name for name in SWEPT if len({getattr(settings, name) for settings in combinations}) > 1]
    values = [{name: getattr(settings, name) for name in varied} for settings in combinations]
    members = dict(zip(map(_label, values), combinations, strict=True))
    if len(members) < len(combinations):
        raise UserError("a sweep must name every value once")
    dataset, device = data_and_device(first)
    alike = Run(first, dataset, device)
    folder = create_run_folder(first.logdir, f"{dataset.name}-{first.mode}-sweep", first.run_name)
    write_config(folder, {"members": list(members), "command": sys.argv})
    measure = "validation_accuracy" if first.validation else "test_accuracy"
    ended = Sweep(folder, dict(zip(members, values, strict=True)), measure, {name: [] for name in members})
    print(f"{first.mode}, {len(members)} combinations, on {alike.headline}", flush=True)
    try:
        for names in _stackable(members):
            if (settings := members[names[0]]) is not first:
                # Of one's own images, the seed decides which are for the test.
                dataset, device = data_and_device(settings)
                alike = Run(settings, dataset, device)
            runs = {name: Run(members[name], dataset, device, like=alike) for name in names}
            _train_together(runs, ended)
    except KeyboardInterrupt:
        ended.interrupted = True
    rows = []
    for name, value in ended.values.items():
        *_, last = [EpochResult(0, *[math.nan] * 7), *ended.results[name]]
        rows.append([*value.values(), *last, ended.diverged.get(name)])
    write_csv(folder / "sweep.csv", [[*varied, *EpochResult._fields, "diverged_in"], *rows])
    if first.figures and not ended.interrupted:
        _draw(ended, first.mode)
    return ended


def _stackable(members: dict[str, Settings]) -> Iterator[list[str]]:
    """The names of what can be trained together, in the order of the first of each."""
    alike: dict[Settings, list[str]] = defaultdict(list)
    for name, settings in members.items():
        alike[replace(settings, **{rate: getattr(Settings, rate) for rate in RATES})].append(name)
    for names in alike.values():
        yield from (names[start : start + MAX_STACKED] for start in range(0, len(names), MAX_STACKED))


def _train_together(runs: dict[str, Run], ended: Sweep) -> None:
    """Train some members together, each recorded in its folder; their results become those of the sweep.

    One that diverges is left out from then on.
    """
    names, training, first = list(runs), list(runs.values()), next(iter(runs.values()))
    print(f"{', '.join(names)}: trained together, in one matrix product" if len(names) > 1 else names[0], flush=True)
    build, stack = partial(build_learner, first.settings, device=first.device), None
    with ExitStack() as files:
        for name, run in runs.items():
            files.enter_context(run.recording(ended.folder / name))
            write_hparams(run.recorder.writer, ended.values[name], bool(first.settings.validation))
            ended.results[name] = run.history
        epochs = range(1, first.settings.epochs + 1)
        for epoch in tqdm.tqdm(epochs, "training", unit="epoch", leave=False, disable=None):
            if stack is None or len(stack.learners) > len(training):
                stack = Stack([run.learner for run in training], build)
            for run in training:
                run.set_learning_rate(epoch)
            for run, result in zip(training, stack.run_epoch(epoch, *first.iterators.values()), strict=True):
                if result.is_finite:
                    run.record(result)
                else:
                    ended.diverged[run.folder.name] = epoch
            training = [run for run in training if run.folder.name not in ended.diverged]
            if not training:
                break
    for name, run in runs.items():
        print(f"{name}: {ended.remark(name) or f'train loss {run.history[-1].train_loss:.4f}'}", flush=True)


def _draw(ended: Sweep, mode: str) -> None:
    """Draw the losses of every combination, the best first."""
    from d2l_softmax.record import pictures

    losses, varied = {}, next(iter(ended.values.values()))
    for label, names in ended.ranking().items():
        of = [[r.train_loss for r in ended.results[n]] + [math.nan] * (n in ended.diverged) for n in names]
        losses[label] = list(map(fmean, zip(*of, strict=False)))
    title = f"{mode}: {', '.join(varied)}" + ", mean over the seeds" * ("seed" in varied)
    pictures.save(pictures.sweep(losses, title), ended.folder / "sweep.png")
