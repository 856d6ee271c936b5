"""All modes from one seed, side by side: whether their steps are the same, and how far their weights drift apart.

A difference in rounding grows with every step where training is unstable, so weights that have drifted apart after an
epoch prove nothing. Two steps from equal weights do not amplify it. They are what the modes are judged by, before the
first epoch and after each.
"""

import itertools
import sys
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.learner_file import mistakes_in
from d2l_softmax.experiment.run import Run, build_learner, data_and_device
from d2l_softmax.experiment.settings import COMPARE, Settings
from d2l_softmax.record.console import EpochTable
from d2l_softmax.record.run_folder import append_csv, create_run_folder, write_config, write_csv
from d2l_softmax.record.tensorboard import event_writer
from d2l_softmax.training import Learner, train_epoch

# Units of rounding that modes may differ by in two steps; those that are right stay 50 to 400 times below.
ROUNDINGS = 10
# The error, as a share of a step, that must be visible above rounding where the modes are judged.
VISIBLE = 0.01
# Images of the two batches of which the steps are taken: unequal, and no usual size of a batch.
STEP_IMAGES = (97, 60)
# What TensorBoard's Text says of every comparison.
HOW_TO_READ = (
    "The curves of modes that take the same steps coincide: they are one algorithm, and that is the result. "
    "Smoothing bends the curves: set it to 0. `differences` is how far the modes have drifted apart by rounding."
)


class Steps(NamedTuple):
    """The largest difference between any two modes after two steps from the same weights, and of their losses there.

    weights: of an entry of W or b.
    loss: of the mean loss of the images of both.
    allowed_weights, allowed_loss: what rounding explains.
    size: the largest change of an entry of W or b in these steps.
    """

    weights: float
    loss: float
    allowed_weights: float
    allowed_loss: float
    size: float

    @property
    def can_be_judged(self) -> bool:
        """Whether an error in the steps would be visible; not where they are 0, not finite or lost in rounding."""
        return 0 < self.allowed_weights < VISIBLE * self.size < float("inf")

    @property
    def are_the_same(self) -> bool:
        """Whether rounding explains the differences."""
        return self.weights <= self.allowed_weights and self.loss <= self.allowed_loss


@dataclass
class Comparison:
    """A comparison of modes in a folder.

    steps: the judgement before the first epoch and after each.
    drifts: the largest differences between any two modes after each epoch, of an entry of W or b and of a loss.
    interrupted: whether Ctrl-C has ended it early.
    """

    folder: Path
    modes: list[str]
    steps: list[Steps] = field(default_factory=list)
    drifts: list[tuple[float, float]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def is_the_same(self) -> bool:
        """Whether the modes take the same steps wherever that can be judged, and it can somewhere."""
        judged = [steps.are_the_same for steps in self.steps if steps.can_be_judged]
        return bool(judged) and all(judged)

    @property
    def verdict(self) -> str:
        """One line that says it, with the figures of the first point where they differ or else of the last."""
        judged = [(epoch, steps) for epoch, steps in enumerate(self.steps) if steps.can_be_judged]
        if not judged:
            return "cannot be judged here: the steps are 0, not finite or lost in rounding; try another --lr"
        epoch, steps = next((at for at in judged if not at[1].are_the_same), judged[-1])
        do = "take the same steps" if self.is_the_same else "do not take the same steps"
        return (
            f"{', '.join(self.modes)} {do}: after epoch {epoch}, two steps from the same weights differ by at most "
            f"{steps.weights:.1e} in a weight and {steps.loss:.1e} in a loss; rounding explains "
            f"{steps.allowed_weights:.1e} and {steps.allowed_loss:.1e}"
        )


def compare(settings: list[Settings]) -> Comparison:
    """Train several modes side by side, printing the results of each epoch and how far apart they are.

    Args:
        settings: of each run; they differ in their mode alone.

    Raises:
        UserError: as `run`, or there are fewer than two modes.
    """
    modes = [each.mode for each in settings]
    if len(set(modes)) < max(2, len(modes)) or COMPARE in modes:
        raise UserError(f"--modes must name at least two different modes, got '{','.join(modes)}'")
    first = settings[0]
    dataset, device = data_and_device(first)
    runs = [Run(each, dataset, device) for each in settings]
    folder = create_run_folder(first.logdir, f"{dataset.name}-compare", first.run_name)
    members = [Path(mode).name for mode in modes]
    write_config(folder, {"members": members, "command": sys.argv})
    comparison = Comparison(folder, modes)
    with ExitStack() as stack:
        stack.enter_context(mistakes_in(*modes))
        for run, member in zip(runs, members, strict=True):
            stack.enter_context(run.recording(folder / member))
        writer = stack.enter_context(event_writer(folder / "differences"))
        try:
            _train(runs, comparison, writer)
        except KeyboardInterrupt:
            comparison.interrupted = True
        explanation = f"**{comparison.verdict}.**\n\n{HOW_TO_READ}"
        writer.add_text("comparison", explanation, len(comparison.drifts))
        if first.figures and not comparison.interrupted:
            _draw(runs, comparison, writer)
    return comparison


def _train(runs: list[Run], comparison: Comparison, writer: SummaryWriter) -> None:
    table, drifts = comparison.folder / "drift.csv", comparison.drifts
    write_csv(table, [["epoch", "weights", "loss", *(f"step_{name}" for name in Steps._fields)]])
    print(f"{' and '.join(comparison.modes)} on {runs[0].headline}")
    print(f"the figures of {comparison.modes[0]}, and the largest difference between any two modes")
    heads = ("in a weight", "in a loss")
    printed = EpochTable(bool(runs[0].settings.validation), *heads)
    comparison.steps.append(_two_steps(runs))
    for results in zip(*(run.epochs() for run in runs), strict=True):
        for run, result in zip(runs, results, strict=True):
            run.record(result)
        losses = [torch.tensor([result.train_loss, result.test_loss], dtype=torch.float64) for result in results]
        drifts.append(drift := (_apart([_weights(run.learner) for run in runs]), _apart(losses)))
        comparison.steps.append(steps := _two_steps(runs))
        for head, value in zip(heads, drift, strict=True):
            writer.add_scalar(f"mode differences/largest {head}", value, len(drifts))
        writer.flush()
        append_csv(table, [len(drifts), *drift, *steps])
        printed.add(results[0], *drift)


def _two_steps(runs: list[Run]) -> Steps:
    """Let fresh learners of all modes take two steps from the first mode's weights on part of a test batch."""
    *_, (X, y) = runs[0].iterators["test"]
    X, y = X[: sum(STEP_IMAGES)], y[: sum(STEP_IMAGES)]
    batches = list(zip(X.split(STEP_IMAGES[0]), y.split(STEP_IMAGES[0]), strict=True))
    start, ends, losses = _weights(runs[0].learner), [], []
    for run in runs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were given where the run was built
            learner = build_learner(run.settings, *run.learner.W.shape, run.device)
        learner.W.copy_(start[:-1])
        learner.b.copy_(start[-1])
        with torch.no_grad():
            losses.append(learner.loss(learner.net(X), y).mean())
        train_epoch(learner.net, batches, learner.loss, learner.updater, learner.backward)
        ends.append(_weights(learner))
    # The rounding of a logit x·w + b is that of its terms, |x|·|w| + |b|, before the steps and between them.
    terms = torch.cat([X.flatten(1).abs(), torch.ones_like(X[:, :1, 0, 0])], dim=1)
    before, after = (1 + float((terms @ weights.abs()).max()) for weights in (start, ends[0]))
    unit, size = ROUNDINGS * torch.finfo(start.dtype).eps, float((ends[0] - start).abs().max())
    allowed = unit * (float(start.abs().max()) + max(before, after) * size)
    return Steps(_apart(ends), _apart(losses), allowed, unit * (before + float(losses[0].abs())), size)


def _weights(learner: Learner) -> torch.Tensor:
    """A copy of W with b as its last row."""
    return torch.cat([learner.W, learner.b[None]])


def _apart(tensors: Iterable[torch.Tensor]) -> float:
    """The largest difference of an entry between any two tensors."""
    # Of the tensor's own maximum, because Python's max() passes over nan.
    return float(torch.stack([(one - other).abs().max() for one, other in itertools.combinations(tensors, 2)]).max())


def _draw(runs: list[Run], comparison: Comparison, writer: SummaryWriter) -> None:
    from d2l_softmax.record import pictures

    print("drawing the pictures", flush=True)
    for run in runs:
        run.draw()
    folder, epoch = comparison.folder, len(comparison.drifts)
    histories = {run.settings.mode: run.history for run in runs}
    pictures.show(pictures.modes(histories), folder / "modes.png", writer, "all modes", epoch)
    pictures.show(pictures.drift(comparison.drifts), folder / "drift.png", writer, "drift", epoch)
