"""All modes from one seed, epoch by epoch, and how far apart they are: they are one algorithm."""

import itertools
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from d2l_softmax.errors import UserError
from d2l_softmax.event_log import EventLog
from d2l_softmax.experiment import Job, Setup, explained_divergence, headline, make_job, prepare, recording
from d2l_softmax.run_folder import CsvFile, create_run_folder
from d2l_softmax.settings import Settings
from d2l_softmax.training import EpochResult


class Drift(NamedTuple):
    """The largest differences between any two modes: of an entry of W or b, and of the mean train or test loss."""

    weights: float
    loss: float


class Comparison(NamedTuple):
    """A finished comparison: its folder and, after each epoch, the drift and what rounding explains of it."""

    folder: Path
    drifts: list[Drift]
    explained: list[Drift]

    @property
    def agrees(self) -> bool:
        """Whether the modes stayed as close as the arithmetic allows."""
        pairs = zip(self.drifts, self.explained, strict=True)
        return all(drift.weights <= most.weights and drift.loss <= most.loss for drift, most in pairs)


# What rounding explains, measured rather than guessed: a twin of the first mode starts with every weight one rounding
# error away, and how far it strays shows how much this training amplifies such errors. A step of gradient descent
# below the critical learning rate shrinks them, and the modes stay within a few units of the last place; above it
# they grow until the runs have nothing in common. The modes round at every step, the twin once, hence the factor.
ROUNDINGS = 100
# No training is so tame that fewer units in the last place would be worth reporting.
LEAST_ROUNDINGS = 1000


def compare(settings: Settings, modes: list[str]) -> Comparison:
    """Train several modes side by side, printing what each epoch came to and how far apart they are.

    The runs lie together in one folder, `<mode>` for each and `drift` for the differences, which is what TensorBoard
    overlays.

    Raises:
        UserError: as `experiment.run`, or there are fewer than two different modes.
    """
    if len(set(modes)) < 2 or len(set(modes)) < len(modes):
        raise UserError(f"--modes must name at least two different modes, got '{','.join(modes)}'")
    settings_of = {mode: replace(settings, mode=mode) for mode in modes}
    setup = prepare(settings)
    folder = create_run_folder(settings.logdir, f"{setup.dataset.name}-compare", settings.run_name)
    drifts: list[Drift] = []
    explained: list[Drift] = []
    history: list[list[EpochResult]] = []
    with ExitStack() as stack:
        stack.enter_context(explained_divergence(settings, folder))
        jobs, listeners = {}, {}
        for mode in modes:
            (folder / mode).mkdir()
            job = make_job(settings_of[mode], setup)
            jobs[mode], listeners[mode], _ = stack.enter_context(
                recording(settings_of[mode], setup, job, folder / mode)
            )
        drift_log = EventLog(folder / "drift")
        stack.callback(drift_log.close)
        drift_table = CsvFile(folder / "drift.csv", ["epoch", *Drift._fields])
        print(headline(" and ".join(modes), settings, setup))
        print("epoch  mode     train loss  train acc  test loss  test acc  seconds", flush=True)
        twin = _twin(settings_of[modes[0]], setup)
        trained = [*jobs.values(), twin]
        for *results, twin_result in zip(*(job.epochs(settings.epochs) for job in trained), strict=True):
            for mode, result in zip(modes, results, strict=True):
                for listener in listeners[mode]:
                    listener(result)
                print(
                    f"{result.epoch:5d}  {mode:8s} {result.train_loss:10.4f}  {result.train_accuracy:9.4f}  "
                    f"{result.test_loss:9.4f}  {result.test_accuracy:8.4f}  {result.seconds:7.3f}"
                )
            epoch, drift = results[0].epoch, _drift(list(jobs.values()), results)
            drifts.append(drift)
            explained.append(_explained([trained[0], twin], [results[0], twin_result]))
            drift_table.add([epoch, *drift])
            drift_log.add({f"drift/{name}": value for name, value in drift._asdict().items()}, epoch)
            print(f"       largest difference: weights {drift.weights:.1e}, loss {drift.loss:.1e}", flush=True)
            history.append(results)
        if settings.figures:
            _draw(folder, drift_log, dict(zip(modes, zip(*history, strict=True), strict=True)), drifts)
    return Comparison(folder, drifts, explained)


def _draw(folder: Path, log: EventLog, results_by_mode: dict, drifts: list[Drift]) -> None:
    from d2l_softmax import figures
    from d2l_softmax.gallery import show

    show(folder / "curves.png", log.writer, "curves", figures.modes(results_by_mode), len(drifts))
    show(folder / "drift.png", log.writer, "drift", figures.drift(drifts), len(drifts))


def _twin(settings: Settings, setup: Setup) -> Job:
    """The job of `settings` with every weight moved by one rounding error."""
    twin = make_job(settings, setup)
    W = twin.learner.W
    eps = torch.finfo(W.dtype).eps
    W += eps * torch.where(W == 0, torch.ones_like(W), W)
    return twin


def _explained(jobs: list[Job], results: list[EpochResult]) -> Drift:
    """The drift that rounding may cause, seen by how far the twin has strayed."""
    strayed = _drift(jobs, results)
    W = jobs[0].learner.W
    least = LEAST_ROUNDINGS * torch.finfo(W.dtype).eps
    size = Drift(float(W.abs().max()), max(results[0].train_loss, results[0].test_loss))
    return Drift(*(max(ROUNDINGS * far, least * max(1.0, of)) for far, of in zip(strayed, size, strict=True)))


def _drift(jobs: list[Job], results: list[EpochResult]) -> Drift:
    weights, losses = [], []
    for (one, one_result), (other, other_result) in itertools.combinations(zip(jobs, results, strict=True), 2):
        for a, b in ((one.learner.W, other.learner.W), (one.learner.b, other.learner.b)):
            weights.append(float((a - b).abs().max()))
        losses.append(abs(one_result.train_loss - other_result.train_loss))
        losses.append(abs(one_result.test_loss - other_result.test_loss))
    return Drift(max(weights), max(losses))
