"""Every published run on the real data: what was published beside what it comes to here, with a verdict.

    python -m benchmarks.reproduce --data-dir DIR
    python -m benchmarks.reproduce --data-dir DIR --only manual-online --seeds 5
    python -m benchmarks.reproduce --data-dir DIR --choose

The first carries them all out and writes the table and the figures to `benchmarks/results/`. Every figure is a mean
over several seeds, and its verdict is computed: reached, if the mean is no further from what was published than the
tolerance. The tolerances of `scratch` and `concise` were agreed beforehand; for those of the others see `prediction`.
All is computed on the processor, one thread a run and as many runs at a time as there are cores.

`--choose` shows how the settings of `converged` were chosen: on images held back from the training set. The test set
takes no part in it.
"""

import itertools
import json
import math
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from scipy.stats import t as student
from torch import Tensor
from tqdm import tqdm

from d2l_softmax import Dataset, EpochResult, UserError, concise, cross_entropy, evaluate, figures, load_dataset
from d2l_softmax.command import Parser, run_command
from d2l_softmax.data import hold_back
from d2l_softmax.experiment import Setup, make_job
from d2l_softmax.init import zeros
from d2l_softmax.schedule import LearningRate
from d2l_softmax.settings import Settings
from d2l_softmax.training import epochs
from examples import line_fit

RESULTS = Path(__file__).resolve().parent / "results"
SEED, SEEDS = 326, 5
MOST_WORKERS = 8  # each holds data sets of its own
CPU = torch.device("cpu")

Tell = Callable[[float], None]  # hears of every part of its estimated seconds that a task has behind it


# What can be carried out. Each task knows its data set, about how long it takes, and its like for another seed.


class Outcome(NamedTuple):
    """What a task came to: its epochs, figures taken after the last one, and seconds of processor time."""

    results: list[EpochResult]
    after: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Training:
    """A run of the package, as `train.py` would train it.

    settings: those of the command line. With `validation`, the images held back stand in for the test images, which
        are then not looked at.
    images: only the first so many training images.
    steps: batches to train on, in place of whole epochs.
    """

    settings: Settings
    images: int | None = None
    steps: int | None = None

    @property
    def dataset(self) -> str:
        """The data set's name."""
        return self.settings.dataset

    @property
    def estimate(self) -> float:
        """Seconds: so many for each step and each image."""
        steps = self.steps or self.settings.epochs * (self.images or 60_000) / self.settings.batch_size
        return steps * (9e-5 + 1.7e-6 * self.settings.batch_size)

    def seeded(self, seed: int) -> "Training":
        """The same run with another seed."""
        return replace(self, settings=replace(self.settings, seed=seed))

    def __call__(self, data_dir: Path, tell: Tell) -> Outcome:
        """Train, and evaluate on all training images when that is done."""
        settings, data = self.settings, _dataset(self.dataset, data_dir)
        if settings.validation:
            data = hold_back(data, settings.validation, settings.seed)
            held_back = {"test_images": data.validation_images, "test_labels": data.validation_labels}
            data = replace(data, **held_back, validation_images=None, validation_labels=None)
        if self.images is not None:
            images, labels = data.train_images[: self.images], data.train_labels[: self.images]
            data = replace(data, train_images=images, train_labels=labels)
        start = time.process_time()
        job = make_job(settings, Setup(data, CPU))
        rate = LearningRate(job.learner.updater, settings.lr, settings.lr_schedule, settings.epochs)
        whole, rest = (settings.epochs, 0) if self.steps is None else divmod(self.steps, len(job.train_iter))
        results: list[EpochResult] = []
        for result in job.epochs(whole):
            results.append(result)
            rate(result)
            tell(self.estimate / whole)
        if rest:
            part = job._replace(train_iter=itertools.islice(job.train_iter, rest), history=tuple(results))
            results += part.epochs(whole + 1)
        loss, accuracy = evaluate(job.learner.net, job.train_iter, job.learner.loss)
        return Outcome(results, {"train loss": loss, "train accuracy": accuracy}, time.process_time() - start)


@dataclass(frozen=True)
class Optimum:
    """L-BFGS on all images of Fashion-MNIST at once.

    The pixels are centred, turned onto their principal axes and scaled to unit variance (to which 1e-4 is added,
    because some pixels are black in nearly every image). The classifiers are the same, and the penalty is put on the
    weights of the pixels themselves, but L-BFGS needs a fraction of the iterations.

    weight_decay: the factor of the penalty ½ weight_decay (|W|² + |b|²), as SGD has it.
    calls: of L-BFGS, each of ten iterations; one is an epoch of the loop.
    """

    weight_decay: float = 0.0
    calls: int = 30

    dataset = "fashion-mnist"

    @property
    def estimate(self) -> float:
        """Seconds."""
        return 1.1 * self.calls

    def seeded(self, seed: int) -> "Optimum":
        """The same: nothing is drawn."""
        return self

    def __call__(self, data_dir: Path, tell: Tell) -> Outcome:
        """Minimise the mean loss with the penalty, from zero."""
        data = _dataset(self.dataset, data_dir)
        start = time.process_time()
        X, X_test = ((images / data.white).flatten(1) for images in (data.train_images, data.test_images))
        mean = X.mean(dim=0)
        variances, axes = torch.linalg.eigh((X.T @ X / len(X) - mean.outer(mean)).double())
        P = (axes / (variances.clamp(min=0) + 1e-4).sqrt()).float()
        X, X_test, y = (X - mean) @ P, (X_test - mean) @ P, data.train_labels
        net = concise.make_net(data.num_inputs, len(data.classes))
        net.apply(partial(concise.init_weights, initialiser=zeros))

        def objective() -> Tensor:
            value = cross_entropy(net(X), y).mean()
            if self.weight_decay:
                W = P @ net[1].weight.T  # logits are (x − mean) P Vᵀ + c = x W + (c − mean W)
                b = net[1].bias - mean @ W
                value = value + self.weight_decay / 2 * (W.square().sum() + b.square().sum())
            return value

        train_iter, test_iter = [(X, y)], [(X_test, data.test_labels)]
        updater = _WholeSet(net.parameters(), objective)
        results = []
        for result in epochs(net, train_iter, test_iter, cross_entropy, self.calls, updater):
            results.append(result)
            tell(self.estimate / self.calls)
        loss, accuracy = evaluate(net, train_iter, cross_entropy)
        return Outcome(results, {"train loss": loss, "train accuracy": accuracy}, time.process_time() - start)


class _WholeSet:
    """L-BFGS as an updater of the loop: a step is ten iterations, each on the whole training set."""

    def __init__(self, params: Iterator[Tensor], objective: Callable[[], Tensor]):
        self.lbfgs = torch.optim.LBFGS(params, max_iter=10, history_size=20, line_search_fn="strong_wolfe")
        self.objective, self.zero_grad = objective, self.lbfgs.zero_grad

    def step(self) -> None:
        def closure() -> Tensor:
            self.zero_grad()
            value = self.objective()
            value.backward()
            return value

        self.lbfgs.step(closure)


@dataclass(frozen=True)
class LineFit:
    """The fit of `examples/line_fit.py`, step by step and in closed form."""

    seed: int = SEED

    dataset = None
    estimate = 0.1

    def seeded(self, seed: int) -> "LineFit":
        """The same with other points."""
        return LineFit(seed)

    def __call__(self, data_dir: Path, tell: Tell) -> Outcome:
        """Fit in both ways."""
        start = time.process_time()
        x, y = line_fit.points(self.seed)
        both = (method(x, y, lr=0.1, steps=100) for method in (line_fit.fit, line_fit.closed_form))
        largest = max(abs(a - b) for a, b in zip(*both, strict=True))
        tell(self.estimate)
        return Outcome([], {"largest difference": largest}, time.process_time() - start)


Task = Training | Optimum | LineFit


# What was published, and how it is judged.


class Claim(NamedTuple):
    """What was published of a figure.

    published: in words.
    low, high: the figure lies between these; they are the same for a single number.
    tolerance: how far outside the mean over seeds may lie; None for what follows from the spread.
    precision: half a unit of the last published digit.
    spread: the standard deviation from seed to seed, for when there is only one.
    """

    published: str
    low: float = -math.inf
    high: float = math.inf
    tolerance: float | None = 0.0
    precision: float = 0.0
    spread: float = 0.0


def number(text: str, tolerance: float | None = None, spread: float = 0.0) -> Claim:
    """A claim of one number, `0.921`, or of a range, `0.75 to 0.80`."""
    ends = text.split(" to ")
    decimals = len(ends[0].partition(".")[2])
    return Claim(text, float(ends[0]), float(ends[-1]), tolerance, 0.5 * 10**-decimals, spread)


def tolerance(claim: Claim, values: Sequence[float]) -> float:
    """How far outside the claim the mean of `values`, one a seed, may lie."""
    if claim.tolerance is not None:
        return claim.tolerance
    return claim.precision + prediction(values, claim.spread)


def prediction(values: Sequence[float], spread: float = 0.0) -> float:
    """Half the width of the interval about the mean that holds one further run in 95 of 100 cases.

    What was published is one run with one seed and an order of the images that nobody can repeat. If ours is the
    same algorithm, that run is a further draw from the distribution of ours. With s the standard deviation of n of
    them, it then differs from their mean by less than t s √(1 + 1/n), where t is the 97.5 % point of Student's
    distribution with n − 1 degrees of freedom. More seeds narrow it.

    Args:
        values: one a seed.
        spread: stands for s where n is 1; it is taken as known, so that t is the normal distribution's.
    """
    n = len(values)
    s, t = (spread, 1.96) if n == 1 else (statistics.stdev(values), float(student.ppf(0.975, n - 1)))
    return t * s * math.sqrt(1 + 1 / n)


def judge(mean: float, low: float, high: float, tolerance: float) -> str:
    """Say whether a mean lies between `low` and `high`, give or take the tolerance, and if not on which side."""
    slack = tolerance + 1e-12  # the ends belong to it, and decimals are not exact in binary
    if low - slack <= mean <= high + slack:
        return "reached"
    return "missed: below" if mean < low else "missed: above" if mean > high else "missed: not a number"


# The figures of each experiment. The train figures of an epoch are means over the epoch, each sample taken when its
# batch was used, as the published loops count; figures `after` are taken on all training images when all is done.


Outcomes = Mapping[str, Outcome]
RATES = (1e-4, 1e-5, 1e-6)


def last_epoch(outcomes: Outcomes) -> dict[str, float]:
    """What the loop reports of the last epoch."""
    last = outcomes["run"].results[-1]
    return {
        "train loss": last.train_loss,
        "train accuracy": last.train_accuracy,
        "test accuracy": last.test_accuracy,
    }


def when_done(outcomes: Outcomes) -> dict[str, float]:
    """Both accuracies, and the loss, of the weights that training ends with."""
    outcome = outcomes["run"]
    return outcome.after | {"test accuracy": outcome.results[-1].test_accuracy}


def with_gap(outcomes: Outcomes) -> dict[str, float]:
    """Those of the last epoch, and how far its accuracies are apart."""
    last = last_epoch(outcomes)
    return last | {"train − test accuracy": last["train accuracy"] - last["test accuracy"]}


def every_pass(outcomes: Outcomes) -> dict[str, float]:
    """Those of the last epoch, and the running train accuracy over all of them."""
    over_all = statistics.fmean(result.train_accuracy for result in outcomes["run"].results)
    return last_epoch(outcomes) | {"train accuracy, all passes": over_all}


def by_rate(outcomes: Outcomes) -> dict[str, float]:
    """How the training loss goes with each learning rate."""
    losses = {name: [result.train_loss for result in outcome.results] for name, outcome in outcomes.items()}
    found = {
        f"{name}: share of epochs whose train loss rises": statistics.fmean(b > a for a, b in itertools.pairwise(by))
        for name, by in losses.items()
    }
    found["lr=1e-06: epochs to the train loss that lr=1e-05 has after 5"] = _epochs_to(
        losses["lr=1e-05"][:5][-1], losses["lr=1e-06"]
    )
    return found | {f"{name}: train loss of epoch {n}": by[:n][-1] for n in (10, 50) for name, by in losses.items()}


def _epochs_to(loss: float, losses: Sequence[float]) -> int:
    """The first epoch whose loss is no higher; one more than there are, if none is."""
    return next((epoch for epoch, value in enumerate(losses, 1) if value <= loss), len(losses) + 1)


def distance(outcomes: Outcomes) -> dict[str, float]:
    """Those of the weights that training ends with, and how far the loss is above the published optimum."""
    done = when_done(outcomes)
    return done | {"train loss − 0.324": done["train loss"] - 0.324}


def at_optimum(outcomes: Outcomes) -> dict[str, float]:
    """Loss and accuracies of each optimum, and when the loss without a penalty passed the published one."""
    found = {}
    for name, outcome in outcomes.items():
        found |= {f"{name}: {figure}": value for figure, value in when_done({"run": outcome}).items()}
    free = outcomes["no penalty"].results
    calls = _epochs_to(0.3245, [result.train_loss for result in free])
    found["no penalty: seconds until the train loss is 0.324"] = sum(result.seconds for result in free[:calls])
    return found


def curves(title: str, outcomes: Outcomes) -> Figure:
    """Losses and accuracies by epoch."""
    return figures.curves(outcomes["run"].results, f"{title}, seed {SEED}")


def rate_curves(title: str, outcomes: Outcomes) -> Figure:
    """Training losses by epoch."""
    losses = {name: [result.train_loss for result in outcome.results] for name, outcome in outcomes.items()}
    return figures.sweep(losses, f"{title}, seed {SEED}")


class Experiment(NamedTuple):
    """One line of what was published.

    tasks: what one seed carries out, by name.
    measure: takes the figures from the outcomes of one seed.
    claims: what was published of some of them; the others are told for information.
    seeds: over how many, unless `--seeds` says another number; 0 where nothing is drawn and one run is all.
    figure: draws the outcomes of the first seed.
    """

    tasks: dict[str, Task]
    measure: Callable[[Outcomes], dict[str, float]]
    claims: dict[str, Claim]
    seeds: int = SEEDS
    figure: Callable[[Outcomes], Figure] | None = None


FASHION = Settings(dataset="fashion-mnist", seed=SEED)
RAW = replace(FASHION, mode="manual", pixels="raw", batch_size=100, epochs=50, init="xavier")
MNIST = replace(FASHION, mode="manual", dataset="mnist", init="uniform")

# What `--choose` chooses: the highest accuracy on the images held back.
CONVERGED = replace(FASHION, epochs=40, lr=0.03, momentum=0.9, weight_decay=1e-4, lr_schedule="cosine")

# A million single steps take a minute and a half, so that one seed has to do. This is the standard deviation of the
# running train accuracy over five: --only manual-online --seeds 5.
ONLINE_SPREAD = 0.0003

EXPERIMENTS = {
    "scratch": Experiment(
        {"run": Training(replace(FASHION, epochs=40))},
        last_epoch,
        {
            "train loss": number("0.4002", tolerance=0.002),
            "train accuracy": number("0.8634", tolerance=0.003),
            "test accuracy": number("0.8424", tolerance=0.006),
        },
        figure=partial(curves, "scratch, Fashion-MNIST, learning rate 0.1, batches of 256"),
    ),
    "concise": Experiment(
        {"run": Training(replace(FASHION, mode="concise", epochs=10))},
        last_epoch,
        {
            "train loss": number("0.4472", tolerance=0.002),
            "train accuracy": number("0.8486", tolerance=0.003),
            "test accuracy": number("0.8322", tolerance=0.006),
        },
        figure=partial(curves, "concise, Fashion-MNIST, learning rate 0.1, batches of 256"),
    ),
    # Two numbers in one range are no further apart than it is wide: "close" can be held to that.
    "manual-raw": Experiment(
        {"run": Training(replace(RAW, lr=1e-5))},
        with_gap,
        {
            "train accuracy": number("0.75 to 0.80"),
            "test accuracy": number("0.75 to 0.80"),
            "train − test accuracy": Claim("close: within 0.05", -0.05, 0.05),
        },
    ),
    # A loss that settles rises in hardly any epoch and one that only jumps about in every other, so the limit is half
    # way between. Slow is whatever needs twice the epochs.
    "manual-rates": Experiment(
        {f"lr={lr:g}": Training(replace(RAW, lr=lr)) for lr in RATES},
        by_rate,
        {
            "lr=0.0001: share of epochs whose train loss rises": Claim("jumps about: at least 0.25", low=0.25),
            "lr=1e-06: epochs to the train loss that lr=1e-05 has after 5": Claim("slow: at least 10", low=10),
        },
        figure=partial(rate_curves, "manual, Fashion-MNIST with pixels 0–255, batches of 100"),
    ),
    "manual-online": Experiment(
        {"run": Training(replace(MNIST, batch_size=1, lr=0.01, epochs=20), images=50_000)},
        every_pass,
        {"train accuracy": number("0.920", spread=ONLINE_SPREAD)},
        seeds=1,
    ),
    "manual-batches": Experiment(
        {"run": Training(replace(MNIST, batch_size=128, lr=0.5), steps=20_000)},
        when_done,
        {"train accuracy": number("0.931"), "test accuracy": number("0.921")},
    ),
    "line-fit": Experiment(
        {"run": LineFit()},
        lambda outcomes: outcomes["run"].after,
        {"largest difference": Claim("equal to 8 decimals", high=0.5e-8)},
    ),
    "converged": Experiment(
        {"run": Training(CONVERGED)},
        distance,
        {"test accuracy": Claim("aim: at least 0.845", low=0.845)},
        figure=partial(curves, "converged, Fashion-MNIST"),
    ),
    "optimum": Experiment(
        {"no penalty": Optimum(), "penalty 1e-4": Optimum(1e-4)},
        at_optimum,
        {"no penalty: train loss": number("0.324"), "penalty 1e-4: test accuracy": number("0.847")},
        seeds=0,
    ),
}

# The candidates for `converged`: the published setting, and momentum with all combinations of these.
SPLITS = (326, 327, 328)
CANDIDATES = [
    replace(FASHION, epochs=40, validation=10_000),
    *(
        replace(FASHION, epochs=40, validation=10_000, momentum=0.9, **dict(zip(names, values, strict=True)))
        for names in [("batch_size", "lr", "weight_decay", "lr_schedule")]
        for values in itertools.product((64, 256), (0.01, 0.03, 0.1), (0.0, 1e-4, 1e-3), ("constant", "cosine"))
    ),
]


# Carrying it out.


@lru_cache
def _dataset(name: str, data_dir: Path) -> Dataset:
    return load_dataset(name, data_dir)


@contextmanager
def _one_thread() -> Iterator[None]:
    """On batches this small a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_ticks: Any = None  # a worker's way to say how far it has come


def _start_worker(ticks: Any) -> None:
    global _ticks
    _ticks = ticks
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others


def _work(task: Task, data_dir: Path) -> Outcome:
    return task(data_dir, _ticks.put)


def carry_out(names: Mapping[Task, str], data_dir: Path, workers: int | None) -> dict[Task, Outcome]:
    """Carry out every task, the longest first, and show progress on stderr.

    Args:
        names: what each task is called.
        data_dir: where the data sets are.
        workers: tasks at a time, each in a process of its own; None is as many as cores, and one is this process.

    Raises:
        UserError: a data set cannot be had; nothing has been carried out then.
    """
    for dataset in {task.dataset for task in names} - {None}:
        _dataset(dataset, data_dir)
    tasks = sorted(names, key=lambda task: -task.estimate)
    terminal = sys.stderr.isatty()
    bar = tqdm(
        total=sum(task.estimate for task in tasks),
        disable=not terminal,
        bar_format="{percentage:3.0f}%|{bar}| {elapsed}, {remaining} to go{postfix}",
    )
    outcomes: dict[Task, Outcome] = {}

    def done(task: Task, outcome: Outcome) -> None:
        outcomes[task] = outcome
        said = f"{len(outcomes)} of {len(tasks)} done: {names[task]}"
        if terminal:
            bar.set_postfix_str(said)
        else:
            print(f"{said}, {outcome.seconds:.1f} s", file=sys.stderr, flush=True)

    with bar:
        if min(workers_for(workers), len(tasks)) == 1:
            with _one_thread():
                for task in tasks:
                    done(task, task(data_dir, bar.update))
            return outcomes
        context = multiprocessing.get_context("spawn")  # a fork would inherit threads that do not run
        ticks = context.SimpleQueue()
        with ProcessPoolExecutor(workers_for(workers), context, _start_worker, (ticks,)) as executor:
            try:
                pending = {executor.submit(_work, task, data_dir): task for task in tasks}
                while pending:
                    finished, _ = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                    while not ticks.empty():
                        bar.update(ticks.get())
                    for future in finished:
                        done(pending.pop(future), future.result())
            except BaseException:
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
    return outcomes


def workers_for(asked: int | None) -> int:
    """How many tasks to carry out at a time."""
    return asked or min(os.cpu_count() or 1, MOST_WORKERS)


class Row(NamedTuple):
    """A line of the table. Where nothing was published, there is no more than the figure."""

    experiment: str
    figure: str
    published: str
    values: list[float]
    mean: float
    spread: float | None
    low: float | None = None
    high: float | None = None
    tolerance: float | None = None
    verdict: str = "–"


def rows(name: str, outcomes: Sequence[Outcomes]) -> list[Row]:
    """The lines of an experiment, from the outcomes of each seed."""
    experiment = EXPERIMENTS[name]
    by_seed = [experiment.measure(one) for one in outcomes]
    table = []
    for figure in by_seed[0]:
        values = [float(one[figure]) for one in by_seed]
        mean, spread = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
        claim = experiment.claims.get(figure)
        row = Row(name, figure, "" if claim is None else claim.published, values, mean, spread)
        if claim is not None:
            allowed = tolerance(claim, values)
            low, high = (end if math.isfinite(end) else None for end in (claim.low, claim.high))
            row = row._replace(
                low=low, high=high, tolerance=allowed, verdict=judge(mean, claim.low, claim.high, allowed)
            )
        table.append(row)
    return table


# Saying what came of it.


COLUMNS = ["run", "figure", "published", "mean ± sd", "seeds", f"seed {SEED}", "tolerance", "verdict"]


def cells(row: Row) -> list[str]:
    """A line of the table as it is printed."""
    form = ".1e" if 0 < abs(row.mean) < 1e-4 else ".4f" if abs(row.mean) < 10 else ".1f"
    measured = f"{row.mean:{form}}" + ("" if row.spread is None else f" ± {row.spread:{form}}")
    allowed = f"{row.tolerance:{form}}" if row.tolerance else ""
    names = [row.experiment, row.figure, row.published]
    return [*names, measured, str(len(row.values)), f"{row.values[0]:{form}}", allowed, row.verdict]


def described(task: Task) -> str:
    """A task's settings: mode, data set and what differs from the defaults of `train.py`."""
    if not isinstance(task, Training):
        return task.__doc__.split(".\n")[0].replace("\n", " ").rstrip(".")
    parts = [task.settings.mode, task.settings.dataset]
    always = ("batch_size", "lr") if task.steps else ("epochs", "batch_size", "lr")
    elsewhere = ("mode", "dataset", "epochs", "seed", "validation")
    for field in fields(Settings):
        value = getattr(task.settings, field.name)
        if field.name in always or (field.name not in elsewhere and value != field.default):
            shown = f"{value:g}" if isinstance(value, float) else value
            parts.append(f"{field.name.replace('_', ' ')} {shown}")
    parts += [f"first {task.images:,} images"] if task.images else []
    parts += [f"{task.steps:,} steps"] if task.steps else []
    return ", ".join(parts)


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    table = [columns, ["---"] * len(columns), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in table)


def aligned(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for the terminal."""
    table = [columns, *lines]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in table)


def page(found: dict) -> str:
    """What `reproduce.json` holds, for people to read."""
    table, machine = [Row(**row) for row in found["rows"]], found["machine"]
    verdicts = [row.verdict for row in table if row.verdict != "–"]
    runs = [
        [name, settings, f"{seconds:.1f}"]
        for name, run in found["runs"].items()
        for settings, seconds in zip(run["settings"], run["seconds"], strict=True)
    ]
    return "\n".join(
        [
            f"{verdicts.count('reached')} of {len(verdicts)} published figures are reached: the mean over seeds, the "
            f"first being {SEED}, lies no further",
            "away than the tolerance. Where nothing was published, the figure is for information.",
            "",
            markdown(COLUMNS, [cells(row) for row in table]),
            markdown(["run", "settings", "seconds of one core"], runs),
            f"`{found['command']}`, {found['date']}: {found['seconds']:.0f} s with {found['workers']} runs at a time "
            f"on {machine['cores']} cores",
            f"({machine['processor']}), {found['core_seconds']:.0f} s of processor time; Python {machine['python']}, "
            f"PyTorch {machine['torch']}.",
            "",
        ]
    )


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Make the folder and say in one line what goes wrong there.

    Raises:
        UserError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror or error}") from error


def reproduce(names: Sequence[str], seeds: int | None, data_dir: Path, workers: int | None, out: Path | None) -> None:
    """Carry out the experiments, print the table and write the results to `out`.

    Raises:
        UserError: a data set cannot be had, or `out` cannot be written.
    """
    start = time.perf_counter()
    runs: dict[str, list[dict[str, Task]]] = {}
    called: dict[Task, str] = {}
    for name in names:
        experiment = EXPERIMENTS[name]
        count = (seeds or experiment.seeds) if experiment.seeds else 1
        runs[name] = [
            {label: task.seeded(seed) for label, task in experiment.tasks.items()}
            for seed in range(SEED, SEED + count)
        ]
        for seed, tasks in enumerate(runs[name], SEED):
            for label, task in tasks.items():
                # Two experiments may share a run.
                called.setdefault(task, f"{name} {label} {seed if experiment.seeds else ''}".strip())
    done = carry_out(called, data_dir, workers)
    outcomes = {
        name: [{label: done[task] for label, task in tasks.items()} for tasks in by_seed]
        for name, by_seed in runs.items()
    }
    table = [row for name in names for row in rows(name, outcomes[name])]
    asked = [] if len(names) == len(EXPERIMENTS) else [f"--only {name}" for name in names]
    asked += [] if seeds is None else [f"--seeds {seeds}"]
    found = {
        "command": " ".join(["python -m benchmarks.reproduce --data-dir DIR", *asked]),
        "date": date.today().isoformat(),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "workers": min(workers_for(workers), len(called)),
        "seconds": time.perf_counter() - start,
        "core_seconds": sum(outcome.seconds for outcome in done.values()),
        "runs": {
            name: {
                "settings": [described(task) for task in by_seed[0].values()],
                "seconds": [statistics.fmean(one[label].seconds for one in outcomes[name]) for label in by_seed[0]],
            }
            for name, by_seed in runs.items()
        },
        "rows": [row._asdict() for row in table],
    }
    print(aligned(COLUMNS, [cells(row) for row in table]))
    print(f"\n{found['seconds']:.0f} s, {found['core_seconds']:.0f} s of processor time")
    if out is not None:
        with writing(out):
            text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
            (out / "reproduce.json").write_text(text + "\n", encoding="utf-8")
            (out / "reproduce.md").write_text(page(found), encoding="utf-8")
            for name in names:
                if EXPERIMENTS[name].figure is not None:
                    figures.save(EXPERIMENTS[name].figure(outcomes[name][0]), out / f"reproduce-{name}.png")
        print(f"written to {out}")


def choose(data_dir: Path, workers: int | None, out: Path | None) -> None:
    """Train every candidate for `converged` on several splits and print how it does on the images held back.

    Raises:
        UserError: as `reproduce`.
    """
    candidates = [[Training(settings).seeded(seed) for seed in SPLITS] for settings in CANDIDATES]
    names = {task: f"{described(task)}, split {task.settings.seed}" for splits in candidates for task in splits}
    done = carry_out(names, data_dir, workers)
    table = []
    for splits in candidates:
        ends = [done[task].results[-1] for task in splits]
        accuracies = [end.test_accuracy for end in ends]
        losses = [statistics.fmean(end.test_loss for end in ends), statistics.fmean(end.train_loss for end in ends)]
        table.append(([statistics.fmean(accuracies), *accuracies, *losses], described(splits[0])))
    table.sort(reverse=True)
    splits = (f"split {seed}" for seed in SPLITS)
    columns = ["validation accuracy", *splits, "validation loss", "train loss", "settings"]
    lines = [[*(f"{value:.4f}" for value in values), settings] for values, settings in table]
    print(aligned(columns, lines))
    print(f"\nchosen:    {table[0][1]}\nconverged: {described(Training(CONVERGED))}")
    if out is not None:
        with writing(out):
            said = (
                f"How the settings of `converged` were chosen: trained without {CANDIDATES[0].validation:,} training "
                f"images and judged on those,\nfor {len(SPLITS)} splits, the highest mean accuracy first. The test "
                "images were not read.\n\n"
            )
            (out / "reproduce-choice.md").write_text(said + markdown(columns, lines), encoding="utf-8")
        print(f"written to {out}")


def parser() -> Parser:
    """Build the parser."""
    parser = Parser(prog="python -m benchmarks.reproduce", description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    add = parser.add_argument
    add("--data-dir", type=Path, default=Path("data"), metavar="DIR", help="where the data sets are (default: data)")
    add("--only", action="append", choices=EXPERIMENTS, metavar="NAME", help=f"one of {', '.join(EXPERIMENTS)}")
    add("--seeds", type=int, metavar="N", help=f"how many, from {SEED} on (default: {SEEDS}, and 1 of manual-online)")
    add("--choose", action="store_true", help="show how the settings of converged were chosen, and nothing else")
    add("--workers", type=int, metavar="N", help="runs at a time (default: as many as cores)")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the results go (default: benchmarks/results; with --only, --seeds or --choose: nowhere)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 when all was carried out, whatever the verdicts."""
    return run_command("reproduce", lambda: _dispatch(parser().parse_args(arguments)))


def _dispatch(given: Any) -> int:
    for option, value in (("--seeds", given.seeds), ("--workers", given.workers)):
        if value is not None and value < 1:
            raise UserError(f"{option} must be a whole number of at least 1, got {value}")
    if given.choose and (given.only or given.seeds):
        raise UserError("--choose goes neither with --only nor with --seeds: its candidates and splits are fixed")
    everything = not (given.only or given.seeds or given.choose)
    out = RESULTS if given.out is None and everything else given.out
    if out is not None:
        with writing(out):
            pass  # what cannot be written is to be known before all is computed
    if given.choose:
        choose(given.data_dir, given.workers, out)
        return 0
    names = [name for name in EXPERIMENTS if given.only is None or name in given.only]
    reproduce(names, given.seeds, given.data_dir, given.workers, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
