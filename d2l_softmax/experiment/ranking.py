"""What came out of a sweep: which combination is the best, as a table and as a picture, with the seeds averaged."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from d2l_softmax.metrics import EpochResult
from d2l_softmax.record.run_folder import write_csv


@dataclass
class Sweep:
    """A sweep in a folder.

    values: the settings that set each of its runs apart, by the name of the run.
    results: of the epochs of each run.
    diverged: the epoch in which the loss of a run was no longer finite.
    measure: the field of `EpochResult` that runs are judged by.
    interrupted: whether Ctrl-C has ended it early.
    """

    folder: Path
    values: dict[str, dict[str, float]]
    measure: str
    results: dict[str, list[EpochResult]] = field(default_factory=dict)
    diverged: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False


def label(values: Mapping[str, float]) -> str:
    """The name of a combination of settings: `lr=0.1,momentum=0.9`."""
    return ",".join(f"{setting}={repr(value).removesuffix('.0')}" for setting, value in values.items())


def rank(sweep: Sweep) -> dict[str, list[str]]:
    """The names of runs that differ only in their seed, by what else sets them apart, the best mean first."""
    alike = defaultdict(list)
    for name, values in sweep.values.items():
        alike[label(_without_seed(values)) or "all seeds"].append(name)
    measures = {value: -fmean(_measures(sweep, names) or [-math.inf]) for value, names in alike.items()}
    return {value: alike[value] for value in sorted(alike, key=measures.get)}


def best(sweep: Sweep) -> str | None:
    """The name of the best run, the first of its seeds; None if none can be judged."""
    names = next(iter(rank(sweep).values()))
    return names[0] if _measures(sweep, names) else None


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The mean and the standard deviation of a sample, which is 0 for one value."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def summary(sweep: Sweep) -> Iterator[list[str]]:
    """The rows of the table that is printed at the end, the names of the columns first."""
    judge = sweep.measure.removesuffix("_accuracy")
    columns = {"train loss": "train_loss", "train acc": "train_accuracy"}
    columns |= {f"{judge} loss": f"{judge}_loss", f"{judge} acc": f"{judge}_accuracy"}
    ranked = rank(sweep)
    seeds = max(map(len, ranked.values()))
    note = f"; mean ± standard deviation over {seeds} seeds" if seeds > 1 else ""
    yield ["", *columns, f" sorted by {judge} accuracy{note}"]
    for value, names in ranked.items():
        remarks = {name: _remark(sweep, name) for name in names if _remark(sweep, name)}
        judged = [name for name in names if name not in remarks] or [n for n in names if sweep.results[n]]
        cells = []
        for column in columns.values():
            figures = [getattr(sweep.results[name][-1], column) for name in judged]
            cells.append(
                " ± ".join(f"{f:.4f}" for f in mean_and_deviation(figures)[: len(figures)]) if judged else ""
            )
        yield [value, *cells, "; ".join(f"{n} {text}" if len(names) > 1 else text for n, text in remarks.items())]


def _remark(sweep: Sweep, name: str) -> str:
    """Why a run cannot be judged; empty if it can."""
    if name in sweep.diverged:
        return f"diverged in epoch {sweep.diverged[name]}"
    return "" if sweep.results[name] else "not begun"


def _measures(sweep: Sweep, names: list[str]) -> list[float]:
    """The measure of each of these runs; empty if one of them cannot be judged."""
    if any(_remark(sweep, name) for name in names):
        return []
    return [getattr(sweep.results[name][-1], sweep.measure) for name in names]


def write_table(sweep: Sweep) -> None:
    """Write `sweep.csv`, a row for each run with its last epoch."""
    rows = []
    for name, values in sweep.values.items():
        last = sweep.results[name][-1] if sweep.results[name] else EpochResult(0, *[math.nan] * 7)
        rows.append([*values.values(), *last, sweep.diverged.get(name)])
    write_csv(sweep.folder / "sweep.csv", [[*values, *EpochResult._fields, "diverged_in"], *rows])


def draw(sweep: Sweep, mode: str) -> None:
    """Draw the losses of every combination and, by the first setting that varies, the figure that it is judged by."""
    from d2l_softmax.record import pictures

    losses, lines, ranked = {}, defaultdict(dict), rank(sweep)
    varied = list(_without_seed(next(iter(sweep.values.values()))))
    order = list(sweep.values)
    for value, names in sorted(ranked.items(), key=lambda item: order.index(item[1][0])):
        of = [[r.train_loss for r in sweep.results[n]] + [math.nan] * (n in sweep.diverged) for n in names]
        losses[value] = [fmean(at) for at in zip(*of, strict=False)]
        if varied and (measures := _measures(sweep, names)):
            at, *others = _without_seed(sweep.values[names[0]]).values()
            lines[tuple(others)][value] = at, *mean_and_deviation(measures)
    averaged = "" if len(losses) == len(order) else ", mean ± standard deviation over the seeds"
    title = f"{mode}: {', '.join(varied) or 'one setting'}{averaged}"
    labels = varied[0] if varied else "", sweep.measure.replace("_", " ")
    pictures.save(pictures.sweep(losses, title, list(lines.values()), labels), sweep.folder / "sweep.png")


def _without_seed(values: Mapping[str, float]) -> dict[str, float]:
    return {setting: value for setting, value in values.items() if setting != "seed"}
