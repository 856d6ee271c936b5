"""Continuing a run from its checkpoint."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from d2l_softmax.data.catalogue import DATASETS
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.run import Run, data_and_device
from d2l_softmax.experiment.settings import CHANGEABLE, Settings
from d2l_softmax.modes import is_own_file
from d2l_softmax.parallel import distributed
from d2l_softmax.record.run_folder import CONFIG, read_config


def resume(folder: Path, given: dict[str, Any]) -> Run:
    """Continue from the checkpoint, or from the start where there is none yet, up to the number of epochs.

    Args:
        folder: of a run.
        given: settings that were given with the command. Those in `CHANGEABLE` may be new, a folder of data may have
            moved, and all others must be those of the run.

    Raises:
        UserError: there is no such run, it is being written, a setting contradicts it, or as `run`.
    """
    distributed.connect()
    config = distributed.from_first(lambda: read_config(folder))
    if "members" in config:
        python = "python " if config["command"][0].endswith(".py") else ""
        raise UserError(
            f"{folder} holds several runs: resume one of them ({', '.join(config['members'])}), or make all of them "
            f"again with `{python}{shlex.join(config['command'])}`"
        )
    settings = _continued(folder, settings_of(folder, config), config, given)
    continued = Run(settings, *data_and_device(settings))
    if continued.description["sha256"] != config["data"]["sha256"]:
        raise UserError(f"the data set is not the one that {folder} was trained on: its checksum differs")
    continued.train(folder)
    return continued


def settings_of(folder: Path, config: dict) -> Settings:
    """The settings of a run that `config.json` holds.

    Raises:
        UserError: they are not those of this version of the program.
    """
    try:
        return Settings(**config["settings"])
    except (TypeError, UserError) as error:
        raise UserError(f"{folder / CONFIG} is damaged or of another version of this program ({error})") from error


def _continued(folder: Path, settings: Settings, config: dict, given: dict[str, Any]) -> Settings:
    """The settings with what may change, after a check that nothing else does."""
    if is_own_file(settings.mode):
        if not is_own_file(given.get("mode", "")):
            raise UserError(f"{folder} was trained with a file of your own: name it, with --mode {settings.mode}")
        # The file may have moved; the checkpoint knows its checksum.
        settings = replace(settings, mode=given["mode"])
    if settings.dataset not in DATASETS and "data_dir" in given:
        given = {"dataset": os.path.abspath(os.path.expanduser(given["data_dir"]))} | given
    elif settings.dataset == "auto":
        settings = replace(settings, dataset=config["data"]["name"])
    for name, value in given.items():
        was = getattr(settings, name)
        if name == "dataset" and value not in DATASETS and was not in DATASETS:
            continue  # the folder may have moved; the checksum says whether it is the same
        if name == "epochs" and settings.lr_schedule != "constant" and value != was:
            raise UserError(f"--epochs {value} contradicts {folder}, whose learning rates end at epoch {was}")
        if name not in CHANGEABLE and value != was:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} {value} contradicts {folder}, which has {option} {was}")
    return replace(settings, **given)
