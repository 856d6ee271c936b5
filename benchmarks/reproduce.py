"""Every published run on the real data: the published figures beside those measured here, with a verdict.

    python -m benchmarks.reproduce --data-dir DIR
    python -m benchmarks.reproduce --data-dir DIR --only manual-online --seeds 5

The first carries out all of `benchmarks/published.py` and writes the table and the figures to `benchmarks/results/`;
the second prints its table, and writes only where `--out` says.
"""

import itertools
import math
import multiprocessing
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from scipy.special import stdtrit
from tqdm import tqdm

from benchmarks.published import EXPERIMENTS, SEED, SEEDS, SLOWNESS, Claim, Run
from benchmarks.report import circumstances, write
from d2l_softmax import UserError, concise, cross_entropy, evaluate, load_dataset
from d2l_softmax.commands.errors_and_interrupts import Parser, run_command
from d2l_softmax.experiment import run as experiment
from d2l_softmax.initialisers import zeros
from d2l_softmax.record import pictures
from d2l_softmax.training import run_epoch
from examples import line_fit

RESULTS = Path(__file__).resolve().parent / "results"
LONGEST = ("manual-online", "optimum")  # they start first
DRAWN = ("scratch", "concise", "manual-rates", "converged")

Found = dict  # figures by name and, as "epochs", what each epoch came to
load = lru_cache(load_dataset)


def train(run: Run, seed: int, data_dir: Path) -> Found:
    """Train as `train.py` would and take every figure that the table asks for."""
    settings, data = replace(run.settings, seed=seed), load(run.settings.dataset, data_dir)
    data = replace(data, train_images=data.train_images[: run.images], train_labels=data.train_labels[: run.images])
    # Autograd's bookkeeping, which manual mode has no use for, is a quarter of a step on a single image.
    with torch.inference_mode(settings.mode == "manual"):
        steps_per_epoch = math.ceil(len(data.train_labels) / settings.batch_size)
        whole, rest = divmod(run.steps, steps_per_epoch) if run.steps else (settings.epochs, 0)
        trained = experiment.Run(replace(settings, epochs=whole), data, torch.device("cpu"))
        train_iter, test_iter = trained.iterators["train"], trained.iterators["test"]
        epochs = list(trained.epochs())
        if rest:
            epochs.append(run_epoch(trained.learner, whole + 1, itertools.islice(train_iter, rest), test_iter))
        loss, accuracy = evaluate(trained.learner.net, train_iter, trained.learner.loss)
    last, rises = epochs[-1], [b.train_loss > a.train_loss for a, b in itertools.pairwise(epochs)]
    return {
        "train loss": last.train_loss,
        "train accuracy": last.train_accuracy,
        "train accuracy, all passes": statistics.fmean(epoch.train_accuracy for epoch in epochs),
        "test accuracy": last.test_accuracy,
        "train − test accuracy": last.train_accuracy - last.test_accuracy,
        "train loss, final weights": loss,
        "train accuracy, final weights": accuracy,
        "share of epochs whose train loss rises": statistics.fmean(rises),
        "epochs": epochs,
    }


def optimise(run: Run, seed: int, data_dir: Path) -> Found:
    """Minimise the mean loss with the penalty ½ weight_decay (|W|² + |b|²) by L-BFGS, from zero.

    The pixels are centred, turned onto their principal axes and scaled to unit variance: x ↦ (x − mean) P. (1e-4 is
    added to the variance, because some are black in nearly every image.) The classifiers are the same, and the
    penalty is on the weights of the pixels themselves, but L-BFGS needs a fraction of the iterations.
    """
    data = load(run.settings.dataset, data_dir)
    X, X_test = ((images / data.max_value).flatten(1) for images in (data.train_images, data.test_images))
    mean, (variances, axes) = X.mean(dim=0), torch.linalg.eigh(X.T.cov())
    P = axes / (variances + 1e-4).sqrt()
    X, X_test, y = (X - mean) @ P, (X_test - mean) @ P, data.train_labels
    net = concise.make_net(data.num_inputs, len(data.classes))
    zeros(net[1].weight, net[1].bias)
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def objective() -> torch.Tensor:
        lbfgs.zero_grad()
        W = P @ net[1].weight.T  # logits are (x − mean) P Vᵀ + c = x W + (c − mean W)
        b = net[1].bias - mean @ W
        penalty = run.settings.weight_decay / 2 * (W.square().sum() + b.square().sum())
        value = cross_entropy(net(X), y).mean() + penalty
        value.backward()
        return value

    lbfgs.step(objective)
    loss, accuracy = evaluate(net, [(X, y)], cross_entropy)
    _, test_accuracy = evaluate(net, [(X_test, data.test_labels)], cross_entropy)
    return {"train loss": loss, "train accuracy": accuracy, "test accuracy": test_accuracy}


def fit_line(run: Run, seed: int, data_dir: Path) -> Found:
    """Fit the line of `examples/line_fit.py`, step by step and in closed form."""
    both = (fit(*line_fit.points(seed), lr=0.1, steps=100) for fit in (line_fit.fit, line_fit.closed_form))
    return {"largest difference": max(abs(a - b) for a, b in zip(*both, strict=True))}


METHODS = {method.__name__: method for method in (train, optimise, fit_line)}


def carry_out(jobs: Iterable[tuple[Run, int]], data_dir: Path) -> dict[tuple[Run, int], Found]:
    """Carry out every run with its seed, in this order and as many at a time as there are cores."""
    jobs = dict.fromkeys(jobs)  # experiments may share a run
    for dataset in {run.settings.dataset for run, _ in jobs}:
        load_dataset(dataset, data_dir)  # what is missing is to be known, or downloaded, before they all start
    context = multiprocessing.get_context("spawn")  # a fork would inherit threads that do not run
    workers = min(os.cpu_count() or 1, len(jobs), 8)  # each holds data sets of its own
    with ProcessPoolExecutor(workers, context, _start_worker) as executor:
        try:
            futures = {executor.submit(METHODS[run.method], run, seed, data_dir): (run, seed) for run, seed in jobs}
            finished = tqdm(as_completed(futures), total=len(futures), unit="run", disable=None)
            return {futures[future]: future.result() for future in finished}
        except BaseException:  # Ctrl-C among them: what is running is not waited for
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _start_worker() -> None:
    torch.set_num_threads(1)  # on batches this small a second thread costs more than it brings
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others


def judge(claim: Claim, values: Sequence[float]) -> tuple[float, str]:
    """The tolerance of a claim and the verdict on the mean of `values`, one per seed: reached, better or worse.

    Unless it was agreed beforehand, the tolerance is rounding plus half the width of the interval about the mean that
    holds one further run in 95 of 100 cases: if ours is the same algorithm, the published run is such a run. With s
    the standard deviation of n runs it differs from their mean by less than t s √(1 + 1/n), where t is the 97.5 %
    point of Student's distribution with n − 1 degrees of freedom. For n = 1, s is the claim's spread, taken as known.
    """
    mean, n, tolerance = statistics.fmean(values), len(values), claim.tolerance
    if tolerance is None:
        s, t = (claim.spread, 1.96) if n == 1 else (statistics.stdev(values), float(stdtrit(n - 1, 0.975)))
        tolerance = 0.5 * 10 ** -len(claim.published.rpartition(".")[2]) + t * s * (1 + 1 / n) ** 0.5
    slack = tolerance + 1e-12  # the ends belong to it, and decimals are not exact in binary
    if claim.low - slack <= mean <= claim.high + slack:
        return tolerance, "reached"
    return tolerance, "better" if (mean < claim.low) == claim.lower_is_better else "worse"


def measure(name: str, seed: int, done: Mapping[tuple[Run, int], Found]) -> Found:
    """All figures of an experiment for one seed, each after the label of its run if there are several."""
    runs = {label: done[run, seed] for label, run in EXPERIMENTS[name].runs.items()}
    found = {f"{label}: {figure}".removeprefix(": "): runs[label][figure] for label in runs for figure in runs[label]}
    if "lr=1e-06" in runs:
        goal, slow = runs["lr=1e-05"]["epochs"][:5][-1].train_loss, runs["lr=1e-06"]["epochs"]
        found[SLOWNESS] = next((epoch.epoch for epoch in slow if epoch.train_loss <= goal), len(slow) + 1)
    return found


def rows(name: str, by_seed: Sequence[Found]) -> list[dict]:
    """The lines of an experiment in the table, from its figures for each seed."""
    lines = []
    for figure, claim in EXPERIMENTS[name].figures.items():
        values = [float(found[figure]) for found in by_seed]
        row = {"experiment": name, "figure": figure, "published": claim and claim.published, "values": values}
        row["mean"], row["sd"] = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
        row["tolerance"], row["verdict"] = judge(claim, values) if claim else (None, None)
        lines.append(row)
    return lines


def table(rows: Sequence[Mapping]) -> str:
    """The rows as a table in Markdown, aligned."""
    lines = [["experiment", "figure", "published", "mean ± sd", "seeds", f"seed {SEED}", "tolerance", "verdict"]]
    for row in rows:
        values, tolerance = row["values"], "" if row["tolerance"] is None else f"{row['tolerance']:.2g}"
        mean = f"{row['mean']:#.4g}" + ("" if row["sd"] is None else f" ± {row['sd']:.1g}")
        names = [row["experiment"], row["figure"], row["published"] or ""]
        lines.append([*names, mean, str(len(values)), f"{values[0]:#.4g}", tolerance, row["verdict"] or "–"])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(map(str.ljust, line, widths))} |\n" for line in lines)


def page(found: Mapping) -> str:
    """What `reproduce.json` holds, for people to read."""
    verdicts = [row["verdict"] for row in found["rows"] if row["verdict"]]
    sources = dict.fromkeys(f"- {e}: {EXPERIMENTS[e].source}\n" for e in (row["experiment"] for row in found["rows"]))
    machine, versions = found["machine"], found["versions"]
    return f"""\
Of {len(verdicts)} published figures, {verdicts.count("reached")} are reached by the mean over seeds, within the
tolerance; {verdicts.count("better")} are better and {verdicts.count("worse")} worse. Where nothing was published, the
figure is for information.

{table(found["rows"])}
{"".join(sources)}
{found["date"]}, {machine["cpu"]} with {machine["cores"]} cores, Python {versions["python"]}, PyTorch
{versions["torch"]}: {found["seconds"]:.0f} s, {found["core_seconds"]:.0f} s of processor time.
"""


def draw(name: str, found: Found, path: Path) -> None:
    """Draw the curves of a run, or the training losses of several."""
    title, labels = f"{name}, seed {SEED}", list(EXPERIMENTS[name].runs)
    if labels == [""]:
        pictures.save(pictures.curves(found["epochs"], title), path)
    else:
        losses = {label: [epoch.train_loss for epoch in found[f"{label}: epochs"]] for label in labels}
        pictures.save(pictures.sweep(losses, title), path)


def reproduce(data_dir: Path, only: Sequence[str] | None, seeds: int | None, out: Path | None) -> int:
    """Carry out all experiments, or `only` some, print the table and write the results; return the exit status.

    Raises:
        UserError: `seeds` is below 1, a data set is not available, or `out` cannot be written.
    """
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds must be a whole number of at least 1, got {seeds}")
    out = RESULTS if out is None and not (only or seeds) else out
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}") from error
    start = time.perf_counter()
    plan = {name: range(SEED, SEED + (seeds or EXPERIMENTS[name].seeds)) for name in only or EXPERIMENTS}
    order = sorted(plan, key=lambda name: name not in LONGEST)
    jobs = [(run, seed) for name in order for run in EXPERIMENTS[name].runs.values() for seed in plan[name]]
    done = carry_out(jobs, data_dir)
    by_seed = {name: [measure(name, seed, done) for seed in plan[name]] for name in plan}
    found = {
        "seconds": round(time.perf_counter() - start, 1),
        "core_seconds": round(sum(os.times()[2:4]), 1),  # of the processes that carried it out
        "rows": [row for name in plan for row in rows(name, by_seed[name])],
    } | circumstances()
    print(f"{table(found['rows'])}\n{found['seconds']:.0f} s, {found['core_seconds']:.0f} s of processor time")
    if out is not None:
        write(out / "reproduce.json", found)
        (out / "reproduce.md").write_text(page(found), encoding="utf-8")
        for name in plan.keys() & set(DRAWN):
            draw(name, by_seed[name][0], out / f"reproduce-{name}.png")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = Parser(prog="python -m benchmarks.reproduce", description=__doc__.split("\n", 1)[0], allow_abbrev=False)
    add = parser.add_argument
    add("--data-dir", type=Path, default="data", metavar="DIR", help="where the data sets are (default: data)")
    add("--only", action="append", choices=EXPERIMENTS, metavar="NAME", help=f"one of {', '.join(EXPERIMENTS)}")
    add("--seeds", type=int, metavar="N", help=f"how many, from {SEED} on (default: {SEEDS}, 1 of the longest)")
    add("--out", type=Path, metavar="DIR", help="for the results (default, if all are run: benchmarks/results)")
    return run_command(lambda: reproduce(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    sys.exit(main())
