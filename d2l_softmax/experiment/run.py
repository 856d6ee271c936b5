"""One run, and what all runs share: training jobs while recording them in their folders."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.job import Job, headline, make_job, prepare
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.experiment.stop import Stop
from d2l_softmax.record.console import EpochTable, with_progress
from d2l_softmax.record.recorder import Recorder, has_pictures
from d2l_softmax.record.run_folder import check_run_name, create_run_folder, locked, writing
from d2l_softmax.scale import distributed
from d2l_softmax.training import DivergedError, EpochResult


class Run(NamedTuple):
    """A run that has ended: its folder, the results of its epochs, and the signal that stopped it early, if any."""

    folder: Path
    results: list[EpochResult]
    stopped_by: int | None = None


def run(settings: Settings) -> Run:
    """Train as `settings` say, printing the table of epochs and filling the run's folder.

    Raises:
        UserError: the settings ask for what this machine does not have, the data are damaged, the folder cannot be
            written, or the loss is no longer finite.
    """
    distributed.connect()
    if settings.run_name is not None:
        check_run_name(settings.logdir, settings.run_name)
    setup = prepare(settings)
    job = make_job(settings, setup)
    label = f"{setup.dataset.name}-{settings.mode}"
    folder = distributed.from_first(lambda: create_run_folder(settings.logdir, label, settings.run_name))
    return train_job(job, folder)


def train_job(job: Job, folder: Path) -> Run:
    """Train one job up to the number of epochs of its settings, and record it in `folder`."""
    settings, results = job.settings, list(job.history)
    print(headline(settings.mode, job), flush=True)
    table = EpochTable(job.validation_iter is not None)

    def after_epoch(result_of: dict[str, EpochResult]) -> None:
        results.append(result_of[""])
        table.add(result_of[""])

    if not settings.cuda_graph:
        job = job._replace(train_iter=with_progress(job.train_iter, len(results) + 1, settings.epochs))
    with Stop() as stop:
        record({"": job}, ({"": result} for result in job.epochs()), folder, after_epoch, stop)
        distributed.disconnect()
    return Run(folder, results, stop.signum)


def record(
    jobs: dict[str, Job],
    epochs: Iterable[dict[str, EpochResult]],
    folder: Path,
    after_epoch: Callable[[dict[str, EpochResult]], None],
    stop: Stop,
    may_diverge: bool = False,
    draw: bool = True,
) -> None:
    """Train jobs side by side, each recorded in the folder of its name below `folder`.

    Args:
        jobs: by name; "" stands for `folder` itself.
        epochs: trains an epoch whenever its results, by name, are asked for.
        after_epoch: is called with the results when they have been recorded.
        stop: is shielded while an epoch is being recorded.
        may_diverge: whether a job whose loss is no longer finite just ends, without recording that epoch.
        draw: whether to draw the pictures of a job that has all of its epochs, if its settings say so.

    Raises:
        UserError: `folder` cannot be written, or a loss is no longer finite.
    """
    try:
        with writing(folder), ExitStack() as stack:
            recorders = {n: stack.enter_context(_recorder(job, folder / n, draw)) for n, job in jobs.items()}
            for results in epochs:
                with stop.shield():
                    for name, result in results.items():
                        if result.is_finite:
                            recorders[name](result)
                        elif not may_diverge:
                            raise DivergedError(result.epoch)
                    after_epoch(results)
            if draw and any(job.settings.figures for job in jobs.values()):
                print("drawing the pictures", flush=True)
    except DivergedError as error:
        kept = {1: "its settings are", 2: "epoch 1 is"}.get(error.epoch, f"epochs 1 to {error.epoch - 1} are")
        lr = next(iter(jobs.values())).settings.lr
        raise UserError(f"{error}: {kept} kept in {folder}; try a smaller --lr than {lr:g}") from error


def is_complete(job: Job, folder: Path, draw: bool = True) -> bool:
    """Whether a job has all of its epochs and, unless it is to have none, its folder all of its pictures."""
    return len(job.history) >= job.settings.epochs and (has_pictures(folder) or not (draw and job.settings.figures))


@contextmanager
def _recorder(job: Job, folder: Path, draw: bool) -> Iterator[Callable[[EpochResult], None]]:
    """Record a job while the block runs, and draw its pictures at the end. Of several processes only one writes."""
    if not distributed.is_first() or is_complete(job, folder, draw):
        yield lambda result: None
        return
    folder.mkdir(exist_ok=True)
    with locked(folder), ExitStack() as stack:
        validation = job.validation_iter is not None
        recorder = Recorder(folder, job.config(), job.learner, job.generator, job.history, validation, job.hparams)
        stack.callback(recorder.close)
        yield recorder
        if draw and job.settings.figures and len(recorder.history) == job.settings.epochs:
            recorder.draw(job.dataset, job.test_iter)


def lock_once(folder: Path):
    """Lock a folder from the first read to the last write, in the process that writes."""
    return locked(folder) if distributed.is_first() else nullcontext()
