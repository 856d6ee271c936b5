"""Continuing a run, a comparison or a sweep from its last good checkpoints."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from d2l_softmax.data.catalogue import DATASETS
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.compare import Comparison, train_comparison
from d2l_softmax.experiment.group import read_group
from d2l_softmax.experiment.job import Setup, make_job, prepare
from d2l_softmax.experiment.run import Run, is_complete, lock_once, train_job
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.experiment.sweep import Sweep, train_sweep
from d2l_softmax.record.checkpoint import load_last, restore
from d2l_softmax.record.run_folder import CONFIG, read_config
from d2l_softmax.scale import distributed

# Settings that may differ from those that a run was started with.
CHANGEABLE = ("epochs", "device", "cuda_graph", "data_dir", "figures")


def resume(folder: Path, given: dict[str, Any]) -> Run | Comparison | Sweep:
    """Continue from the last good checkpoint, or from the start where there is none yet, up to the number of epochs.

    Args:
        folder: of a run, a comparison or a sweep.
        given: settings that were given with the command. Those in `CHANGEABLE` may be new; all others must be those
            of the run.

    Raises:
        UserError: there is no such run, it is being written, a setting contradicts it, or as `run`.
    """
    distributed.connect()
    distributed.from_first(lambda: read_config(folder))  # before a lock is left in a folder that holds no run
    with lock_once(folder):
        config = distributed.from_first(lambda: read_config(folder))
        if "members" in config:
            if distributed.launched():
                raise UserError(f"torchrun's processes train one run together, not all in {folder}: use python")
            group = read_group(folder, config)
            members = {name: continued(folder, s, config, given) for name, s in group.members.items()}
            setup = _prepare(next(iter(members.values())), folder, config)
            train = train_sweep if group.kind == "sweep" else train_comparison
            return train(group._replace(members=members), setup)
        settings = continued(folder, settings_of(folder, config), config, given)
        job = make_job(settings, _prepare(settings, folder, config))
        found = distributed.from_first(lambda: load_last(folder))
        if found is not None:
            job = job._replace(history=restore(*found, job.learner, job.generator))
        if is_complete(job, folder):
            print(f"{folder} already has {len(job.history)} epochs: name more with --epochs to train on")
            return Run(folder, list(job.history))
        return train_job(job, folder)


def _prepare(settings: Settings, folder: Path, config: dict) -> Setup:
    setup = prepare(settings)
    if setup.sha256 != config["data"]["sha256"]:
        raise UserError(f"the data set is not the one that {folder} was trained on: its checksum differs")
    return setup


def settings_of(folder: Path, config: dict) -> Settings:
    """The settings of a run that `config.json` holds.

    Raises:
        UserError: they are not those of this version of the program.
    """
    try:
        return Settings(**config["settings"])
    except (TypeError, UserError) as error:
        raise UserError(f"{folder / CONFIG} is damaged or of another version of this program ({error})") from error


def continued(folder: Path, settings: Settings, config: dict, given: dict[str, Any]) -> Settings:
    """The settings with what may change, after a check that nothing else does."""
    for name, value in given.items():
        was = getattr(settings, name)
        if name == "dataset" and value not in DATASETS and was not in DATASETS:
            continue  # the folder may have moved; the checksum says whether it is the same
        if name == "epochs" and settings.lr_schedule != "constant" and value != was:
            raise UserError(f"--epochs {value} contradicts {folder}, whose learning rates end at epoch {was}")
        if name not in CHANGEABLE and value != was:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} {value} contradicts {folder}, which has {option} {was}")
    # What was chosen for the run is what it continues with, whatever the choice would be today.
    chosen = {"dataset": config["data"]["name"]} if settings.dataset == "auto" else {}
    continued = replace(settings, **(chosen | given))
    # A graph repeats the steps that are taken without one; it is not needed where there is no GPU.
    if "cuda_graph" not in given and (continued.device == "cpu" or not torch.cuda.is_available()):
        continued = replace(continued, cuda_graph=False)
    return continued
