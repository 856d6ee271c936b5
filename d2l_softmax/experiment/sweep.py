"""Several values of a setting: a run for each combination, side by side in one folder."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.group import Group, create_group, restore_together
from d2l_softmax.experiment.job import Job, Setup, build_learner, headline, make_job, prepare
from d2l_softmax.experiment.run import is_complete, record
from d2l_softmax.experiment.settings import SWEPT, Settings
from d2l_softmax.experiment.stop import Stop
from d2l_softmax.record.console import with_bar, with_progress
from d2l_softmax.record.files import CsvFile
from d2l_softmax.record.run_folder import locked, writing
from d2l_softmax.scale.stack import Stack
from d2l_softmax.training import EpochResult, run_epoch

# Settings in which runs may differ and still see the same batches.
RATES = ("lr", "weight_decay", "momentum")

# Runs trained together at most; more would save little and keep their files and pictures open.
MAX_STACKED = 32


class Sweep(NamedTuple):
    """A sweep that has ended.

    group: its folder and the settings of its members; `group.diverged` has the epoch in which one diverged.
    results: of the epochs of each member.
    ranking: the names of members that differ only in their seed, by what else sets them apart, the best first.
    measure: the field of `EpochResult` that they are sorted by, the mean over seeds.
    stopped_by: the signal that stopped it early, if any.
    """

    group: Group
    results: dict[str, list[EpochResult]]
    ranking: dict[str, list[str]]
    measure: str
    stopped_by: int | None = None

    def lacks(self, name: str) -> str:
        """Why a member cannot be judged, if it cannot."""
        if name in self.group.diverged:
            return f"diverged in epoch {self.group.diverged[name]}"
        return "" if self.results[name] else "not begun"

    def judged(self, names: list[str]) -> list[float]:
        """What these members are judged by; nothing if one of them cannot be."""
        return [] if any(map(self.lacks, names)) else [getattr(self.results[n][-1], self.measure) for n in names]


def sweep(combinations: list[Settings]) -> Sweep:
    """Train every combination of settings; one that diverges keeps its epochs so far and does not end the sweep.

    Those that differ only in their `RATES` are trained together, as a `Stack`. The runs lie together in one folder,
    each named for what sets it apart, and fill TensorBoard's HParams.

    Raises:
        UserError: as `run`, or two combinations are the same.
    """
    first = combinations[0]
    varied = _varied(combinations)
    names = [_name(settings, varied) for settings in combinations]
    if len(set(names)) < len(names):
        raise UserError("a sweep must name every value once")
    setup = prepare(first)
    members = dict(zip(names, combinations, strict=True))
    return train_sweep(create_group("sweep", f"{first.mode}-sweep", members, setup), setup)


def train_sweep(group: Group, setup: Setup) -> Sweep:
    """Train a sweep to its end, from where its checkpoints are."""
    first = next(iter(group.members.values()))
    varied = _varied(list(group.members.values()))
    print(headline(f"{first.mode}, {len(group.members)} combinations,", make_job(first, setup)), flush=True)
    results: dict[str, list[EpochResult]] = {name: [] for name in group.members}
    with writing(group.folder), locked(group.folder), Stop() as stop:
        for names in _stackable(group.members):
            _train_stack(names, group, setup, varied, results, stop)
        ranked = _ranked(group, varied, results)
        _write(ranked, varied)
        if first.figures:
            _draw(ranked, [setting for setting in varied if setting != "seed"])
            _draw_best(ranked, setup, varied, stop)
    return ranked._replace(stopped_by=stop.signum)


def _ranked(group: Group, varied: list[str], results: dict[str, list[EpochResult]]) -> Sweep:
    """The sweep with its ranking."""
    alike = defaultdict(list)
    for name, settings in group.members.items():
        alike[_name(settings, [setting for setting in varied if setting != "seed"]) or "all seeds"].append(name)
    measure = "validation_accuracy" if next(iter(group.members.values())).validation else "test_accuracy"
    sweep = Sweep(group, results, alike, measure)
    best = {value: -fmean(sweep.judged(names) or [-math.inf]) for value, names in alike.items()}
    return sweep._replace(ranking={value: alike[value] for value in sorted(alike, key=best.get)})


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The mean and the standard deviation of a sample, which is 0 for one value."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def _name(settings: Settings, varied: list[str]) -> str:
    return ",".join(f"{setting}={repr(getattr(settings, setting)).removesuffix('.0')}" for setting in varied)


def _varied(combinations: list[Settings]) -> list[str]:
    """The settings that have more than one value."""
    return [name for name in SWEPT if len({getattr(settings, name) for settings in combinations}) > 1]


def _values(settings: Settings, varied: list[str]) -> dict[str, float]:
    return {setting: getattr(settings, setting) for setting in varied}


def _stackable(members: dict[str, Settings]) -> Iterator[list[str]]:
    """The names of what can be trained together, in the order of the first of each."""
    alike: dict[Settings, list[str]] = {}
    for name, settings in members.items():
        alike.setdefault(replace(settings, **{rate: getattr(Settings, rate) for rate in RATES}), []).append(name)
    for names in alike.values():
        yield from (names[start : start + MAX_STACKED] for start in range(0, len(names), MAX_STACKED))


def _train_stack(names: list[str], group: Group, setup: Setup, varied: list[str], results: dict, stop: Stop) -> None:
    """Train some members together, each recorded in its folder, and add their results to `results`."""
    # All have the batches of one job, so that the data are on the device once.
    shared = make_job(group.members[names[0]], setup)
    jobs = {}
    for name in names:
        settings = group.members[name]
        learner = build_learner(settings, *shared.learner.W.shape, setup.device)
        jobs[name] = shared._replace(settings=settings, learner=learner, hparams=_values(settings, varied))
    diverged = {name: jobs.pop(name) for name in names if name in group.diverged}
    # The diverged ones first: all share one training order, and it must be where the others continue.
    for name, job in (_restore_each(diverged, group.folder) | restore_together(jobs, group.folder)).items():
        results[name] += job.history
        if name in jobs:
            jobs[name] = job
    if all(is_complete(job, group.folder / name, draw=False) for name, job in jobs.items()):
        return
    print(f"{', '.join(names)}: trained together, in one matrix product" if len(names) > 1 else names[0], flush=True)

    def after_epoch(epoch_results: dict[str, EpochResult]) -> None:
        for name, result in epoch_results.items():
            if result.is_finite:
                results[name].append(result)
            else:
                group.diverged[name] = result.epoch
                group.write(setup)

    done = min((len(job.history) for job in jobs.values()), default=0)
    epochs = with_bar(_stacked_epochs(jobs), done, shared.settings.epochs)
    record(jobs, epochs, group.folder, after_epoch, stop, may_diverge=True, draw=False)
    for name in names:
        loss = f"train loss {results[name][-1].train_loss:.4f}" if name not in group.diverged else ""
        print(f"{name}: {loss or f'diverged in epoch {group.diverged[name]}'}", flush=True)


def _restore_each(jobs: dict[str, Job], folder: Path) -> dict[str, Job]:
    return {name: restore_together({name: job}, folder)[name] for name, job in jobs.items()}


def _stacked_epochs(jobs: dict[str, Job]) -> Iterator[dict[str, EpochResult]]:
    """Train jobs together and yield the results of each epoch by name; one that diverges is left out after that."""
    first = next(iter(jobs.values()))
    build = partial(build_learner, first.settings, device=first.setup.device)
    done, num_epochs = len(first.history), first.settings.epochs
    train_iter = with_progress(first.train_iter, done + 1, num_epochs)
    stack = Stack([job.learner for job in jobs.values()], build)
    for epoch in range(done + 1, num_epochs + 1):
        for job in jobs.values():
            job.set_learning_rate(epoch)
        iterators = map(stack.batches, (train_iter, first.test_iter, first.validation_iter))
        results = dict(zip(jobs, stack.split(run_epoch(stack, epoch, *iterators)), strict=True))
        yield results
        if not all(result.is_finite for result in results.values()):
            jobs = {name: job for name, job in jobs.items() if results[name].is_finite}
            if not jobs:
                return
            stack = Stack([job.learner for job in jobs.values()], build)


def _write(sweep: Sweep, varied: list[str]) -> None:
    """Write `sweep.csv`, a row for each member with its last epoch."""
    group, rows = sweep.group, []
    for name, settings in group.members.items():
        last = sweep.results[name][-1] if sweep.results[name] else EpochResult(0, *[math.nan] * 7)
        rows.append([*_values(settings, varied).values(), *last, group.diverged.get(name)])
    CsvFile(group.folder / "sweep.csv", [*varied, *EpochResult._fields, "diverged_in"], rows)


def _draw(sweep: Sweep, varied: list[str]) -> None:
    """Draw the losses of every combination and, by the first setting that varies, the figure that it is judged by."""
    from d2l_softmax.record import figures

    group, losses, lines = sweep.group, {}, defaultdict(dict)
    for value, names in sorted(sweep.ranking.items(), key=lambda item: list(group.members).index(item[1][0])):
        of = [[r.train_loss for r in sweep.results[n]] + [math.nan] * (n in group.diverged) for n in names]
        losses[value] = [fmean(at) for at in zip(*of, strict=False)]
        if varied and (judged := sweep.judged(names)):
            at, *others = (getattr(group.members[names[0]], setting) for setting in varied)
            lines[tuple(others)][value] = at, *mean_and_deviation(judged)
    averaged = "" if len(losses) == len(group.members) else ", mean ± standard deviation over the seeds"
    title = (", ".join(varied) or "one setting") + averaged
    labels = varied[0] if varied else "", sweep.measure.replace("_", " ")
    drawn = figures.sweep(losses, title, list(lines.values()), labels)
    figures.save(drawn, group.folder / "sweep.png")


def _draw_best(sweep: Sweep, setup: Setup, varied: list[str], stop: Stop) -> None:
    """Draw the pictures of a run for the best member, if it has all of its epochs."""
    group, (name, *_) = sweep.group, next(iter(sweep.ranking.values()))
    settings = group.members[name]
    if not sweep.lacks(name) and len(sweep.results[name]) == settings.epochs:
        job = make_job(settings, setup)._replace(hparams=_values(settings, varied))
        record(restore_together({name: job}, group.folder), (), group.folder, lambda results: None, stop)
