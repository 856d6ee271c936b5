"""Several values of a setting: a run for each combination, side by side in one folder."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.group import Group, create_group, restore_together, varied_in
from d2l_softmax.experiment.job import Job, Setup, build_learner, headline, make_job, prepare
from d2l_softmax.experiment.ranking import Sweep, draw, label, rank, write_table
from d2l_softmax.experiment.run import is_complete, record
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.experiment.stop import Stop
from d2l_softmax.record.console import with_bar, with_progress
from d2l_softmax.record.run_folder import locked, writing
from d2l_softmax.scale.stack import Stack
from d2l_softmax.training import EpochResult, run_epoch

# Settings in which runs may differ and still see the same batches.
RATES = ("lr", "weight_decay", "momentum")

# Runs trained together at most; more would save little and keep their files and pictures open.
MAX_STACKED = 32


def sweep(combinations: list[Settings]) -> Sweep:
    """Train every combination of settings; one that diverges keeps its epochs so far and does not end the sweep.

    Those that differ only in their `RATES` are trained together, as a `Stack`. The runs lie together in one folder,
    each named for what sets it apart, and fill TensorBoard's HParams.

    Raises:
        UserError: as `run`, or two combinations are the same.
    """
    first, varied = combinations[0], varied_in(combinations)
    names = [label({setting: getattr(settings, setting) for setting in varied}) for settings in combinations]
    if len(set(names)) < len(names):
        raise UserError("a sweep must name every value once")
    setup = prepare(first)
    members = dict(zip(names, combinations, strict=True))
    return train_sweep(create_group("sweep", f"{first.mode}-sweep", members, setup), setup)


def train_sweep(group: Group, setup: Setup) -> Sweep:
    """Train a sweep to its end, from where its checkpoints are."""
    first = next(iter(group.members.values()))
    print(headline(f"{first.mode}, {len(group.members)} combinations,", make_job(first, setup)), flush=True)
    results: dict[str, list[EpochResult]] = {name: [] for name in group.members}
    with writing(group.folder), locked(group.folder), Stop() as stop:
        for names in _stackable(group.members):
            _train_stack(names, group, setup, results, stop)
        ranked = rank(group, results)
        write_table(ranked)
        if first.figures:
            draw(ranked)
            _draw_best(ranked, setup, stop)
    # Ranked anew, because Ctrl-C may have ended the block before.
    return rank(group, results)._replace(stopped_by=stop.signum)


def _stackable(members: dict[str, Settings]) -> Iterator[list[str]]:
    """The names of what can be trained together, in the order of the first of each."""
    alike: dict[Settings, list[str]] = {}
    for name, settings in members.items():
        alike.setdefault(replace(settings, **{rate: getattr(Settings, rate) for rate in RATES}), []).append(name)
    for names in alike.values():
        yield from (names[start : start + MAX_STACKED] for start in range(0, len(names), MAX_STACKED))


def _train_stack(names: list[str], group: Group, setup: Setup, results: dict, stop: Stop) -> None:
    """Train some members together, each recorded in its folder, and add their results to `results`."""
    # All have the batches of one job, so that the data are on the device once.
    shared = make_job(group.members[names[0]], setup)
    jobs = {}
    for name in names:
        settings = group.members[name]
        learner = build_learner(settings, *shared.learner.W.shape, setup.device)
        jobs[name] = shared._replace(settings=settings, learner=learner, hparams=group.values(name))
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


def _draw_best(sweep: Sweep, setup: Setup, stop: Stop) -> None:
    """Draw the pictures of a run for the best member, if it has all of its epochs."""
    group, (name, *_) = sweep.group, next(iter(sweep.ranking.values()))
    settings = group.members[name]
    if not sweep.lacks(name) and len(sweep.results[name]) == settings.epochs:
        job = make_job(settings, setup)._replace(hparams=group.values(name))
        record(restore_together({name: job}, group.folder), (), group.folder, lambda results: None, stop)
