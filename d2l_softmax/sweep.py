"""Several values of a setting: a run for each combination, side by side in one folder."""

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch.utils.tensorboard.summary import hparams

from d2l_softmax.console import with_progress
from d2l_softmax.errors import UserError
from d2l_softmax.event_log import EventLog
from d2l_softmax.experiment import Job, Setup, build_learner, headline, make_job, prepare, recording
from d2l_softmax.run_folder import CsvFile, create_run_folder
from d2l_softmax.settings import Settings
from d2l_softmax.stack import epochs_together
from d2l_softmax.training import DivergedError, EpochResult

# Settings that a sweep may vary, and those of them that runs may differ in and still see the same batches.
SWEPT = ("lr", "batch_size", "weight_decay", "momentum", "seed")
RATES = ("lr", "weight_decay", "momentum")

# Runs trained together at most; more would save little and hold their files and pictures open.
TOGETHER = 32


class SweepRun(NamedTuple):
    """One combination: its name, settings and epochs, and the epoch in which it diverged, if it did."""

    name: str
    settings: Settings
    results: list[EpochResult]
    diverged_in: int | None

    @property
    def last(self) -> EpochResult:
        """The last epoch, or one without figures for a run that had none."""
        nan = math.nan
        return self.results[-1] if self.results else EpochResult(0, nan, nan, nan, nan, nan, nan, nan)


class Sweep(NamedTuple):
    """A finished sweep: its folder, the settings that vary and its runs, the best by `measure` first."""

    folder: Path
    varied: list[str]
    runs: list[SweepRun]
    measure: str


def sweep(combinations: list[Settings]) -> Sweep:
    """Train every combination of settings; one that diverges is kept as far as it came and does not end the sweep.

    Those that differ in their `RATES` only are trained together, as a `Stack`; with `--eval-every`, each on its own.
    The runs lie together in one folder, each named for what sets it apart, and fill TensorBoard's HParams.

    Raises:
        UserError: as `experiment.run`, or two combinations are the same.
    """
    first = combinations[0]
    varied = [name for name in SWEPT if len({getattr(settings, name) for settings in combinations}) > 1]
    names = [",".join(f"{name}={_shown(getattr(settings, name))}" for name in varied) for settings in combinations]
    if len(set(names)) < len(names):
        raise UserError("a sweep must name every value once")
    setup = prepare(first)
    folder = create_run_folder(first.logdir, f"{setup.dataset.name}-{first.mode}-sweep", first.run_name)
    print(headline(f"{first.mode}, {len(names)} combinations,", first, setup), flush=True)
    runs = []
    for group in _groups(dict(zip(names, combinations, strict=True))):
        if len(group) > 1:
            print(f"{len(group)} combinations trained together, in one matrix product", flush=True)
        for finished in _train(group, setup, folder, varied):
            runs.append(finished)
            loss, diverged_in = finished.last.train_loss, finished.diverged_in
            said = f"train loss {loss:.4f}" if diverged_in is None else f"diverged in epoch {diverged_in}"
            print(f"{finished.name}: {said}", flush=True)
    measure = "validation_accuracy" if first.validation else "test_accuracy"

    def from_the_best(one: SweepRun) -> float:
        return math.inf if one.diverged_in is not None else -getattr(one.last, measure)

    runs.sort(key=from_the_best)
    finished = Sweep(folder, varied, runs, measure)
    _write(finished, draw=first.figures)
    return finished


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _groups(combinations: dict[str, Settings]) -> Iterator[dict[str, Settings]]:
    """What can be trained together, in the order of the first of each."""
    alike: dict[Settings, dict[str, Settings]] = {}
    for name, settings in combinations.items():
        alike.setdefault(replace(settings, **{rate: getattr(Settings, rate) for rate in RATES}), {})[name] = settings
    for group in alike.values():
        names = iter(group)
        at_a_time = TOGETHER if group[next(iter(group))].eval_every is None else 1
        while some := list(itertools.islice(names, at_a_time)):
            yield {name: group[name] for name in some}


def _train(group: dict[str, Settings], setup: Setup, folder: Path, varied: list[str]) -> list[SweepRun]:
    """Train a group, recording each of its runs in a folder of its own."""
    runs = {name: SweepRun(name, settings, [], None) for name, settings in group.items()}
    shared = make_job(next(iter(group.values())), setup)
    jobs: dict[str, Job] = {}
    listeners, recordings = {}, {}
    with ExitStack() as stack:
        for name, settings in group.items():
            # All have the batches of one job, so that the data are on the device once.
            job = shared._replace(learner=build_learner(settings, *shared.learner.W.shape, setup.device))
            (folder / name).mkdir()
            recordings[name] = stack.enter_context(ExitStack())
            jobs[name], listeners[name], event_log = recordings[name].enter_context(
                recording(settings, setup, job, folder / name)
            )
            values = {name: getattr(settings, name) for name in varied}
            _add_hparams(values, job.validation_iter is not None, event_log)
        for epoch, results in enumerate(_epochs(jobs, settings), start=1):
            for name in list(listeners):
                if name in results:
                    runs[name].results.append(results[name])
                    for listener in listeners[name]:
                        listener(results[name])
                else:
                    runs[name] = runs[name]._replace(diverged_in=epoch)
                    del listeners[name]
                    # It ends as a run does that diverges alone.
                    recordings[name].__exit__(DivergedError, DivergedError(epoch), None)
    return list(runs.values())


def _epochs(jobs: dict[str, Job], settings: Settings) -> Iterator[dict[str, EpochResult]]:
    """The results of each epoch by name, without those of runs that have diverged."""
    first = next(iter(jobs.values()))
    train_iter = with_progress(first.train_iter, 1, settings.epochs)
    if len(jobs) == 1:
        (name,) = jobs
        try:
            for result in first._replace(train_iter=train_iter).epochs(settings.epochs):
                yield {name: result}
        except DivergedError:
            yield {}
        return
    learners = {name: job.learner for name, job in jobs.items()}
    build = partial(build_learner, settings, device=first.learner.W.device)
    yield from epochs_together(
        learners, build, train_iter, first.test_iter, settings.epochs, validation_iter=first.validation_iter
    )


def _add_hparams(values: dict[str, float], validation: bool, event_log: EventLog) -> None:
    """Fill the HParams tab from the run's own folder; `SummaryWriter.add_hparams` would make another below it.

    TensorBoard takes the names of the metrics from whichever run it reads first, so all runs name all of them, and
    their values from each run's curves.
    """
    splits = ("train", "test", "validation") if validation else ("train", "test")
    metrics = {f"{kind}/{split}": 0.0 for kind in ("loss", "accuracy") for split in splits}
    for summary in hparams(values, metrics):
        event_log.writer._get_file_writer().add_summary(summary)


def _write(sweep: Sweep, draw: bool) -> None:
    names = [*sweep.varied, *EpochResult._fields, "diverged_in"]
    rows = [
        [*(asdict(run.settings)[name] for name in sweep.varied), *run.last, run.diverged_in] for run in sweep.runs
    ]
    CsvFile(sweep.folder / "sweep.csv", names, rows)
    if draw:
        from d2l_softmax import figures
        from d2l_softmax.gallery import show

        in_order = sorted(sweep.runs, key=lambda run: tuple(getattr(run.settings, name) for name in sweep.varied))
        losses = {
            run.name: [r.train_loss for r in run.results] + [math.nan] * (run.diverged_in is not None)
            for run in in_order
        }
        log = EventLog(sweep.folder / "sweep")
        drawn = figures.sweep(losses, f"training loss, {', '.join(sweep.varied)}")
        show(sweep.folder / "sweep.png", log.writer, "sweep", drawn, len(max(losses.values(), key=len)))
        log.close()
