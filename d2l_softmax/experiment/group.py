"""Runs that belong together in one folder, the members of a comparison or a sweep, and how to restore them."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from d2l_softmax.errors import UserError
from d2l_softmax.experiment.job import Job, Setup, describe_data
from d2l_softmax.experiment.settings import SWEPT, Settings
from d2l_softmax.record.checkpoint import LAST, PREVIOUS, load_good, restore
from d2l_softmax.record.run_folder import CONFIG, create_run_folder, write_config, writing


class Group(NamedTuple):
    """A comparison or a sweep, as its `config.json` holds it.

    folder: of the group; each member has a folder of its name in it.
    kind: "comparison" or "sweep".
    members: the settings of each run by its name.
    diverged: the epoch in which a member's loss was no longer finite, by its name.
    """

    folder: Path
    kind: str
    members: dict[str, Settings]
    diverged: dict[str, int]

    def values(self, name: str) -> dict[str, float]:
        """The settings that set a member of a sweep apart."""
        return {setting: getattr(self.members[name], setting) for setting in varied_in(self.members.values())}

    def write(self, setup: Setup) -> None:
        """Write `config.json`."""
        members = {name: asdict(settings) for name, settings in self.members.items()}
        data = describe_data(setup.dataset, setup.sha256)
        write_config(self.folder, {"kind": self.kind, "members": members, "diverged": self.diverged, "data": data})


def varied_in(combinations: Iterable[Settings]) -> list[str]:
    """The settings of a sweep that have more than one value."""
    combinations = list(combinations)
    return [setting for setting in SWEPT if len({getattr(settings, setting) for settings in combinations}) > 1]


def create_group(kind: str, label: str, members: dict[str, Settings], setup: Setup) -> Group:
    """Make the folder of a group, named for the data set and the label where the settings name none.

    Raises:
        UserError: it cannot be made or written.
    """
    first = next(iter(members.values()))
    folder = create_run_folder(first.logdir, f"{setup.dataset.name}-{label}", first.run_name)
    group = Group(folder, kind, members, {})
    with writing(folder):
        group.write(setup)
    return group


def read_group(folder: Path, config: dict[str, Any]) -> Group:
    """The group that `config.json` holds.

    Raises:
        UserError: it does not hold one of this version of the program.
    """
    try:
        members = {name: Settings(**settings) for name, settings in config["members"].items()}
        diverged = {name: int(epoch) for name, epoch in config["diverged"].items()}
        if config["kind"] not in ("comparison", "sweep") or not members or not diverged.keys() <= members.keys():
            raise ValueError("it has no members")
        if any(Path(name).name != name for name in members):
            raise ValueError("a member is not a folder in it")
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(f"{folder / CONFIG} is damaged or of another version of this program ({error})") from error
    return Group(folder, config["kind"], members, diverged)


def restore_together(jobs: dict[str, Job], folder: Path, at_most: float = math.inf) -> dict[str, Job]:
    """Put jobs that are trained side by side into the state after the last epoch that all of them have recorded.

    They can be killed between one checkpoint and the next, so some may be one epoch ahead. `at_most` is the last
    epoch that has been recorded of the group itself.
    """
    saved = {name: {state["epoch"]: (state, path) for state, path in load_good(folder / name)} for name in jobs}
    epoch = min([at_most, *(max(of, default=0) for of in saved.values())])
    if any(epoch not in of for of in saved.values()):
        # There is no common epoch: they start again.
        for name in jobs:
            for file in (LAST, PREVIOUS):
                (folder / name / file).unlink(missing_ok=True)
        return jobs
    return {
        name: job._replace(history=restore(*saved[name][epoch], job.learner, job.generator))
        for name, job in jobs.items()
    }
