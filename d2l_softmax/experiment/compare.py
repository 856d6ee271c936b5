"""All modes from one seed, epoch by epoch, and how far apart they are: they are one algorithm."""

import csv
import itertools
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.group import Group, create_group, restore_together
from d2l_softmax.experiment.job import Job, Setup, headline, make_job, prepare
from d2l_softmax.experiment.run import record
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.experiment.stop import Stop
from d2l_softmax.record.console import EpochTable
from d2l_softmax.record.files import CsvFile
from d2l_softmax.record.run_folder import locked, writing
from d2l_softmax.record.tensorboard import EventLog
from d2l_softmax.training import EpochResult, Learner

# What rounding explains, measured rather than guessed: a twin of the first mode starts with every weight one rounding
# error away, and how far it strays shows how much this training amplifies such errors. A step of gradient descent
# below the critical learning rate shrinks them, and the modes stay within a few units of the last place; above it
# they grow until the runs have nothing in common. The modes round at every step, the twin once, hence the factor.
ROUNDINGS = 100
# However little the twin strays, so many units in the last place are never worth reporting.
LEAST_ROUNDINGS = 1000


class Drift(NamedTuple):
    """The largest differences between any two modes, of an entry of W or b and of a loss, and what rounding explains.

    A loss is the mean train or test loss of an epoch.
    """

    weights: float
    loss: float
    explained_weights: float
    explained_loss: float

    @property
    def is_rounding(self) -> bool:
        """Whether rounding explains it."""
        return self.weights <= self.explained_weights and self.loss <= self.explained_loss


class Comparison(NamedTuple):
    """A comparison: its folder, the drift after each epoch, and the signal that stopped it early, if any."""

    folder: Path
    modes: list[str]
    drifts: list[Drift]
    stopped_by: int | None = None

    @property
    def has_drifted(self) -> bool:
        """Whether rounding does not explain a drift."""
        return not all(drift.is_rounding for drift in self.drifts)

    @property
    def verdict(self) -> str:
        """The last drift or, where there is one, the first that rounding does not explain."""
        if not self.drifts:
            return "nothing has been compared"
        epochs = enumerate(self.drifts, 1)
        epoch, drift = next((at for at in epochs if not at[1].is_rounding), (len(self.drifts), self.drifts[-1]))
        return (
            f"after epoch {epoch}: {', '.join(self.modes)} differ by at most {drift.weights:.1e} in a weight and "
            f"{drift.loss:.1e} in a loss; rounding explains {drift.explained_weights:.1e} and "
            f"{drift.explained_loss:.1e}"
        )


def compare(settings: Settings, modes: list[str]) -> Comparison:
    """Train several modes side by side, printing the results of each epoch and how far apart they are.

    Args:
        settings: of all runs; its `mode` is not used.
        modes: two or more, all different.

    Raises:
        UserError: as `run`, or there are fewer than two modes.
    """
    if len(modes) < 2 or len(set(modes)) < len(modes):
        raise UserError(f"--modes must name at least two different modes, got '{','.join(modes)}'")
    setup = prepare(settings)
    members = {mode: replace(settings, mode=mode) for mode in modes}
    return train_comparison(create_group("comparison", "compare", members, setup), setup)


def train_comparison(group: Group, setup: Setup) -> Comparison:
    """Train a comparison to its end, from where its checkpoints are."""
    folder, modes = group.folder, list(group.members)
    with writing(folder), locked(folder), ExitStack() as stack:
        jobs = {mode: make_job(settings, setup) for mode, settings in group.members.items()}
        drifts = _read_drifts(folder / "drift.csv")
        jobs = restore_together(jobs, folder, at_most=len(drifts))
        first = jobs[modes[0]]
        twin_epochs = (twin := _twin(first)).epochs()
        done = len([next(twin_epochs) for _ in first.history])
        del drifts[done:]
        results_of = {mode: list(job.history) for mode, job in jobs.items()}
        print(headline(" and ".join(modes), first))
        print(f"the figures of {modes[0]}, and the largest difference between any two modes")
        printed = EpochTable(first.validation_iter is not None, "in a weight", "in a loss")
        log = EventLog(folder / "drift", done)
        stack.callback(log.close)
        log.add_charts("modes", ("loss", "accuracy"))
        written = CsvFile(folder / "drift.csv", ["epoch", *Drift._fields], ((e, *d) for e, d in enumerate(drifts, 1)))

        def after_epoch(results: dict[str, EpochResult]) -> None:
            for mode in modes:
                results_of[mode].append(results[mode])
            trained = [(jobs[mode].learner, results[mode]) for mode in modes]
            drifts.append(drift := _drift(trained, twin, next(twin_epochs)))
            points = {"in a weight": drift.weights, "in a loss": drift.loss}
            log.add({f"mode differences/largest {what}": value for what, value in points.items()}, len(drifts))
            # The file comes last: what it says is done has been written everywhere else.
            written.add([len(drifts), *drift])
            printed.add(results[modes[0]], *points.values())

        comparison = Comparison(folder, modes, drifts)
        with Stop() as stop:
            side_by_side = zip(*(job.epochs() for job in jobs.values()), strict=True)
            epochs = (dict(zip(jobs, results, strict=True)) for results in side_by_side)
            record(jobs, epochs, folder, after_epoch, stop)
            log.writer.add_text("comparison", _explanation(comparison), len(drifts))
            if first.settings.figures:
                _draw(folder, log, results_of, drifts)
    return comparison._replace(stopped_by=stop.signum)


def _read_drifts(path: Path) -> list[Drift]:
    """The rows of `drift.csv` of a comparison that is resumed, up to the first that is not complete."""
    drifts = []
    with suppress(OSError, ValueError, TypeError), path.open(newline="", encoding="utf-8") as file:
        for _, *values in list(csv.reader(file))[1:]:
            drifts.append(Drift(*map(float, values)))
    return drifts


def _explanation(comparison: Comparison) -> str:
    """What TensorBoard's Text says of a comparison, in Markdown."""
    same = "The curves of the modes coincide: they are one algorithm, and that is the result."
    return (
        f"**{'The modes have drifted apart.' if comparison.has_drifted else same}**\n\n{comparison.verdict}.\n\n"
        "Smoothing bends the curves: set it to 0. Custom Scalars has train and test of all modes in one chart."
    )


def _draw(folder: Path, log: EventLog, results_of: dict[str, list[EpochResult]], drifts: list[Drift]) -> None:
    from d2l_softmax.record import pictures
    from d2l_softmax.record.report import show

    show(folder / "modes.png", log.writer, "all modes", pictures.modes(results_of), len(drifts))
    show(folder / "drift.png", log.writer, "drift", pictures.drift([drift[:2] for drift in drifts]), len(drifts))


def _twin(job: Job) -> Job:
    """The same job from its start, with every weight moved by one rounding error."""
    twin = make_job(job.settings, job.setup)
    W = twin.learner.W
    eps = torch.finfo(W.dtype).eps
    W += eps * torch.where(W == 0, torch.ones_like(W), W)
    return twin


def _drift(trained: list[tuple[Learner, EpochResult]], twin: Job, twin_result: EpochResult) -> Drift:
    """How far the modes are apart, and how far rounding may take them, as it took the twin from the first mode."""
    apart = [_distance(one, other) for one, other in itertools.combinations(trained, 2)]
    learner, result = first = trained[0]
    strayed = _distance(first, (twin.learner, twin_result))
    least = LEAST_ROUNDINGS * torch.finfo(learner.W.dtype).eps
    sizes = float(learner.W.abs().max()), max(result.train_loss, result.test_loss)
    explained = [max(ROUNDINGS * far, least * max(1.0, size)) for far, size in zip(strayed, sizes, strict=True)]
    return Drift(*map(max, zip(*apart, strict=True)), *explained)


def _distance(one: tuple[Learner, EpochResult], other: tuple[Learner, EpochResult]) -> tuple[float, float]:
    """The largest difference of an entry of W or b, and of a loss."""
    (a, a_result), (b, b_result) = one, other
    weights = max(float((a.W - b.W).abs().max()), float((a.b - b.b).abs().max()))
    train, test = a_result.train_loss - b_result.train_loss, a_result.test_loss - b_result.test_loss
    return weights, max(abs(train), abs(test))
