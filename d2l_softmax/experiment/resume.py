"""A run that is read again from its folder: its settings, its data where they are now, and continuing it."""

import json
import os
import shlex
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from d2l_softmax.data.catalogue import DATASETS
from d2l_softmax.data.datasets import Dataset
from d2l_softmax.errors import UserError, reading
from d2l_softmax.experiment.run import Run, data_and_device
from d2l_softmax.experiment.settings import CHANGEABLE, Settings
from d2l_softmax.modes import is_own_file
from d2l_softmax.parallel import distributed
from d2l_softmax.record.run_folder import CONFIG


def resume(folder: Path, given: dict[str, Any]) -> Run:
    """Continue from the checkpoint, or from the start where there is none yet, up to the number of epochs.

    Args:
        folder: of a run.
        given: settings that were given with the command. Those in `CHANGEABLE` may be new, and all others must be
            those of the run.

    Raises:
        UserError: there is no such run, it is being written, a setting contradicts it, or as `run`.
    """
    distributed.connect()
    data_dir = given.pop("data_dir", None)
    settings, data = distributed.from_first(lambda: read_run(folder, data_dir))
    if is_own_file(settings.mode):
        if not is_own_file(given.get("mode", "")):
            raise UserError(f"{folder} was trained with a file of your own: name it, with --mode {settings.mode}")
        # The file may have moved; the checkpoint knows its checksum.
        settings = replace(settings, mode=given["mode"])
    for name, value in given.items():
        option, was = f"--{name.replace('_', '-')}", getattr(settings, name)
        if name == "epochs" and settings.lr_schedule != "constant" and value != was:
            raise UserError(f"--epochs {value} contradicts {folder}, whose learning rates end at epoch {was}")
        if name not in CHANGEABLE and value != was:
            raise UserError(f"{option} {value} contradicts {folder}, which has {option} {was}")
    settings = replace(settings, **given)
    dataset, device = data_and_device(settings)
    check_data(dataset, data, folder)
    continued = Run(settings, dataset, device)
    continued.train(folder)
    return continued


def read_run(folder: Path, data_dir: str | None = None) -> tuple[Settings, dict[str, Any]]:
    """The settings of a run that `config.json` holds, and what it says of the data.

    Args:
        folder: of the run.
        data_dir: where the data are now, if they have moved: one's own images, or all published data sets.

    Raises:
        UserError: there is no run, or several, or the file is damaged or of another version of the program.
    """
    path = folder / CONFIG
    if not path.exists():
        raise UserError(f"there is no such run: {folder} has no {CONFIG}; name the folder of a run")
    with reading(path):
        config = json.loads(path.read_bytes())
        if "members" in config:
            python = "python " if config["command"][0].endswith(".py") else ""
            raise UserError(
                f"{folder} holds several runs: name one of them ({', '.join(config['members'])}), or make all of "
                f"them again with `{python}{shlex.join(config['command'])}`"
            )
        itemgetter("name", "sha256", "height", "width", "max_value", "classes")(config["data"])  # or a KeyError
        try:
            settings = Settings(**config["settings"])
        except UserError as error:
            raise ValueError(str(error)) from error
    if data_dir is not None:
        name = "data_dir" if settings.dataset in DATASETS else "dataset"
        settings = replace(settings, **{name: os.path.abspath(os.path.expanduser(data_dir))})
    return settings, config["data"]


def check_data(dataset: Dataset, recorded: dict[str, Any], folder: Path) -> None:
    """Refuse data that a run was not trained on.

    Raises:
        UserError: their checksum is not what `config.json` says.
    """
    if dataset.description["sha256"] != recorded["sha256"]:
        raise UserError(
            f"the data set is not the one that {folder} was trained on, its checksum differs: name the right folder "
            "with --data-dir"
        )
