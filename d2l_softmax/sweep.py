"""Several values of a setting: a run for each combination, side by side in one folder."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from torch.utils.tensorboard.summary import hparams

from d2l_softmax.errors import UserError
from d2l_softmax.event_log import EventLog
from d2l_softmax.experiment import Setup, headline, make_job, prepare, recording
from d2l_softmax.run_folder import CsvFile, create_run_folder
from d2l_softmax.settings import Settings
from d2l_softmax.training import DivergedError, EpochResult

# Settings that a sweep may vary.
SWEPT = ("lr", "batch_size", "weight_decay", "momentum")


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

    The runs lie together in one folder, each named for what sets it apart, and fill TensorBoard's HParams.

    Raises:
        UserError: as `experiment.run`, or two combinations are the same.
    """
    first = combinations[0]
    varied = [name for name in SWEPT if len({getattr(settings, name) for settings in combinations}) > 1]
    names = [",".join(f"{name}={getattr(settings, name):g}" for name in varied) for settings in combinations]
    if len(set(names)) < len(names):
        raise UserError("a sweep must name every value once")
    setup = prepare(first)
    folder = create_run_folder(first.logdir, f"{setup.dataset.name}-{first.mode}-sweep", first.run_name)
    print(headline(f"{first.mode}, {len(names)} combinations,", first, setup), flush=True)
    runs = []
    for name, settings in zip(names, combinations, strict=True):
        runs.append(_train(name, settings, setup, folder / name, varied))
        outcome = runs[-1].diverged_in
        said = f"train loss {runs[-1].last.train_loss:.4f}" if outcome is None else f"diverged in epoch {outcome}"
        print(f"{name}: {said}", flush=True)
    measure = "validation_accuracy" if first.validation else "test_accuracy"

    def from_the_best(one: SweepRun) -> float:
        return math.inf if one.diverged_in is not None else -getattr(one.last, measure)

    runs.sort(key=from_the_best)
    finished = Sweep(folder, varied, runs, measure)
    _write(finished, draw=first.figures)
    return finished


def _train(name: str, settings: Settings, setup: Setup, folder: Path, varied: list[str]) -> SweepRun:
    folder.mkdir()
    results: list[EpochResult] = []
    try:
        with recording(settings, setup, make_job(settings, setup), folder) as (job, listeners, event_log):
            values = {name: getattr(settings, name) for name in varied}
            _add_hparams(values, job.validation_iter is not None, event_log)
            for result in job.epochs(settings.epochs):
                results.append(result)
                for listener in listeners:
                    listener(result)
    except DivergedError as error:
        return SweepRun(name, settings, results, error.epoch)
    return SweepRun(name, settings, results, None)


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
