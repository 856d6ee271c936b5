"""Several values of a setting: a run for each combination, side by side in one folder."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from d2l_softmax.errors import UserError
from d2l_softmax.experiment import ranking
from d2l_softmax.experiment.ranking import Sweep
from d2l_softmax.experiment.run import Run, build_learner, data_and_device
from d2l_softmax.experiment.settings import RATES, SWEPT, Settings
from d2l_softmax.metrics import EpochResult
from d2l_softmax.parallel.stack import Stack
from d2l_softmax.record.console import batch_bar, epoch_bar
from d2l_softmax.record.run_folder import create_run_folder, write_config
from d2l_softmax.training import run_epoch

# Runs trained together at most; more would save little and keep their files and pictures open.
MAX_STACKED = 32


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
    members = dict(zip(map(ranking.label, values), combinations, strict=True))
    if len(members) < len(combinations):
        raise UserError("a sweep must name every value once")
    dataset, device = data_and_device(first)
    stacks = list(_stackable(members))
    alike = Run(first, dataset, device)
    folder = create_run_folder(first.logdir, f"{dataset.name}-{first.mode}-sweep", first.run_name)
    config = {"kind": "sweep", "members": list(members), "data": alike.description, "command": sys.argv}
    write_config(folder, config)
    measure = "validation_accuracy" if first.validation else "test_accuracy"
    ended = Sweep(folder, dict(zip(members, values, strict=True)), measure, {name: [] for name in members})
    print(f"{first.mode}, {len(members)} combinations, on {alike.headline}", flush=True)
    try:
        for names in stacks:
            if names is not stacks[0]:
                if members[names[0]].seed != alike.settings.seed:
                    # Of one's own images, the seed decides which are for the test.
                    dataset, device = data_and_device(members[names[0]])
                alike = Run(members[names[0]], dataset, device)
            runs = {name: Run(members[name], dataset, device, like=alike) for name in names}
            _train_together(runs, ended)
    except KeyboardInterrupt:
        ended.interrupted = True
    ranking.write_table(ended)
    if first.figures and not ended.interrupted:
        ranking.draw(ended, first.mode)
        if (best := ranking.best(ended)) is not None:
            if members[best].seed != alike.settings.seed:
                dataset, device = data_and_device(members[best])
            run = Run(members[best], dataset, device)
            with run.recording(folder / best, ended.values[best]):
                run.draw()
    return ended


def _stackable(members: dict[str, Settings]) -> Iterator[list[str]]:
    """The names of what can be trained together, in the order of the first of each."""
    alike: dict[Settings, list[str]] = {}
    for name, settings in members.items():
        alike.setdefault(replace(settings, **{rate: getattr(Settings, rate) for rate in RATES}), []).append(name)
    for names in alike.values():
        yield from (names[start : start + MAX_STACKED] for start in range(0, len(names), MAX_STACKED))


def _train_together(runs: dict[str, Run], ended: Sweep) -> None:
    """Train some members together, each recorded in its folder; their results become those of the sweep."""
    names = list(runs)
    print(f"{', '.join(names)}: trained together, in one matrix product" if len(names) > 1 else names[0], flush=True)
    with ExitStack() as stack:
        for name, run in runs.items():
            stack.enter_context(run.recording(ended.folder / name, ended.values[name]))
            ended.results[name] = run.history
        stack.enter_context(runs[names[0]].threads())
        for results in epoch_bar(_epochs(list(runs.values())), runs[names[0]].settings.epochs):
            for run, result in results:
                if result.is_finite:
                    run.record(result)
                else:
                    ended.diverged[run.folder.name] = result.epoch
    for name in names:
        loss = f"train loss {ended.results[name][-1].train_loss:.4f}" if name not in ended.diverged else ""
        print(f"{name}: {loss or f'diverged in epoch {ended.diverged[name]}'}", flush=True)


def _epochs(runs: list[Run]) -> Iterator[list[tuple[Run, EpochResult]]]:
    """Train runs together and yield the results of each epoch; one that diverges is left out after that."""
    settings, iterators = runs[0].settings, runs[0].iterators
    build = partial(build_learner, settings, device=runs[0].device)
    stack = None
    for epoch in range(1, settings.epochs + 1):
        stack = stack or Stack([run.learner for run in runs], build)
        for run in runs:
            run.set_learning_rate(epoch)
        bar = batch_bar(iterators["train"], epoch, settings.epochs)
        splits = map(stack.batches, (bar, iterators["test"], iterators["validation"]))
        results = list(zip(runs, stack.split(run_epoch(stack, epoch, *splits)), strict=True))
        yield results
        if not all(result.is_finite for _, result in results):
            runs, stack = [run for run, result in results if result.is_finite], None
            if not runs:
                return
