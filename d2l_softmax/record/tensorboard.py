"""The curves of a run, for TensorBoard."""

import time
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from d2l_softmax.metrics import EpochResult


def event_writer(folder: Path, steps_done: int = 0) -> SummaryWriter:
    """Begin an event file.

    Args:
        folder: the run's.
        steps_done: by a run that is resumed; TensorBoard drops whatever an earlier process wrote after them.
    """
    # TensorBoard reads the files of a run in the order of their names, which hold the second they were begun in.
    while any(folder.glob(f"events.out.tfevents.{int(time.time())}.*")):
        time.sleep(0.05)
    return SummaryWriter(str(folder), purge_step=steps_done + 1)


def write_epoch(writer: SummaryWriter, result: EpochResult, W: Tensor) -> None:
    """Write the points of one epoch, `loss/train`, `accuracy/test` and so on, and the distribution of the weights."""
    for name, value in result._asdict().items():
        split, _, kind = name.partition("_")
        if kind and value is not None:
            writer.add_scalar(f"{kind}/{split}", value, result.epoch)
    # TensorBoard's bins end at 1e20, and weights that are all beyond it would be an error.
    writer.add_histogram("weights", W.clamp(-1e19, 1e19), result.epoch)
    writer.flush()


def write_settings(writer: SummaryWriter, settings: dict) -> None:
    """Show the settings of a run in TensorBoard's Text."""
    rows = [f"| {name} | {value} |" for name, value in settings.items() if value is not None]
    writer.add_text("settings", "\n".join(["| setting | value |", "| --- | --- |", *rows]), 0)


def write_hparams(writer: SummaryWriter, values: dict[str, float], validation: bool) -> None:
    """Fill the HParams tab from the run's own folder; `SummaryWriter.add_hparams` would make another below it.

    TensorBoard takes the names of the metrics from whichever run it reads first, so all runs name all of them, and
    their values from each run's curves.
    """
    splits = ("validation", "test", "train") if validation else ("test", "train")
    # The first is what one chooses by.
    for summary in hparams(values, {f"{kind}/{split}": 0.0 for kind in ("accuracy", "loss") for split in splits}):
        writer._get_file_writer().add_summary(summary)
