"""What came out of a sweep: which combination is the best, as a table and as a picture, with the seeds averaged."""

import math
from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import NamedTuple

from d2l_softmax.experiment.group import Group
from d2l_softmax.record.files import CsvFile
from d2l_softmax.training import EpochResult


class Sweep(NamedTuple):
    """A sweep that has ended.

    group: its folder and the settings of its members; `group.diverged` has the epoch in which one diverged.
    results: of the epochs of each member.
    ranking: the names of members that differ only in their seed, by what else sets them apart, the best first.
    measure: the field of `EpochResult` that they are sorted by, the mean over seeds.
    stopped_by: the signal that stopped it early, if any.
    """

    group: Group
    results: dict[str, list[EpochResult]]
    ranking: dict[str, list[str]]
    measure: str
    stopped_by: int | None = None

    def lacks(self, name: str) -> str:
        """Why a member cannot be judged, if it cannot."""
        if name in self.group.diverged:
            return f"diverged in epoch {self.group.diverged[name]}"
        return "" if self.results[name] else "not begun"

    def judged(self, names: list[str]) -> list[float]:
        """The measure of each of these members; empty if one of them has none."""
        return [] if any(map(self.lacks, names)) else [getattr(self.results[n][-1], self.measure) for n in names]


def rank(group: Group, results: dict[str, list[EpochResult]]) -> Sweep:
    """Rank the members of a sweep by the accuracy on the validation images or, without any, on the test images."""
    alike = defaultdict(list)
    for name in group.members:
        alike[label(_without_seed(group.values(name))) or "all seeds"].append(name)
    measure = "validation_accuracy" if next(iter(group.members.values())).validation else "test_accuracy"
    sweep = Sweep(group, results, alike, measure)
    best = {value: -fmean(sweep.judged(names) or [-math.inf]) for value, names in alike.items()}
    return sweep._replace(ranking={value: alike[value] for value in sorted(alike, key=best.get)})


def label(values: Mapping[str, float]) -> str:
    """The name of a combination of settings: `lr=0.1,momentum=0.9`."""
    return ",".join(f"{setting}={repr(value).removesuffix('.0')}" for setting, value in values.items())


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """The mean and the standard deviation of a sample, which is 0 for one value."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def write_table(sweep: Sweep) -> None:
    """Write `sweep.csv`, a row for each member with its last epoch."""
    group, rows = sweep.group, []
    for name in group.members:
        last = sweep.results[name][-1] if sweep.results[name] else EpochResult(0, *[math.nan] * 7)
        rows.append([*(values := group.values(name)).values(), *last, group.diverged.get(name)])
    CsvFile(group.folder / "sweep.csv", [*values, *EpochResult._fields, "diverged_in"], rows)


def draw(sweep: Sweep) -> None:
    """Draw the losses of every combination and, by the first setting that varies, the figure that it is judged by."""
    from d2l_softmax.record import pictures

    group, losses, lines = sweep.group, {}, defaultdict(dict)
    varied = list(_without_seed(group.values(next(iter(group.members)))))
    for value, names in sorted(sweep.ranking.items(), key=lambda item: list(group.members).index(item[1][0])):
        of = [[r.train_loss for r in sweep.results[n]] + [math.nan] * (n in group.diverged) for n in names]
        losses[value] = [fmean(at) for at in zip(*of, strict=False)]
        if varied and (judged := sweep.judged(names)):
            at, *others = _without_seed(group.values(names[0])).values()
            lines[tuple(others)][value] = at, *mean_and_deviation(judged)
    averaged = "" if len(losses) == len(group.members) else ", mean ± standard deviation over the seeds"
    mode = next(iter(group.members.values())).mode
    title = f"{mode}: {', '.join(varied) or 'one setting'}{averaged}"
    labels = varied[0] if varied else "", sweep.measure.replace("_", " ")
    pictures.save(pictures.sweep(losses, title, list(lines.values()), labels), group.folder / "sweep.png")


def _without_seed(values: dict[str, float]) -> dict[str, float]:
    return {setting: value for setting, value in values.items() if setting != "seed"}
