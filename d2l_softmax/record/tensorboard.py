"""The curves of a run, for TensorBoard."""

import time
from collections.abc import Iterable
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from d2l_softmax.training import EpochResult


class EventLog:
    """An event file with the curves `loss/…` and `accuracy/…` of `train`, `test` and `validation`, by epoch from 1.

    Args:
        folder: the run's.
        steps_done: by a run that is resumed; TensorBoard drops whatever an earlier process wrote after them.
    """

    def __init__(self, folder: Path, steps_done: int = 0):
        # TensorBoard reads the files of a run in the order of their names, which hold the second they were begun in.
        seconds = (path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*"))
        begun = max((int(second) for second in seconds if second.isdecimal()), default=0)
        while begun <= time.time() < begun + 1:
            time.sleep(0.01)
        self.writer = SummaryWriter(str(folder), purge_step=steps_done + 1 if steps_done else 0)

    def __call__(self, result: EpochResult) -> None:
        """Write the points of one epoch."""
        figures = result._asdict()
        names = ((kind, split) for kind in ("loss", "accuracy") for split in ("train", "test", "validation"))
        points = {f"{kind}/{split}": figures[f"{split}_{kind}"] for kind, split in names}
        self.add({tag: value for tag, value in points.items() if value is not None}, result.epoch)

    def add(self, points: dict[str, float], step: int) -> None:
        """Write one point for each tag, so that TensorBoard sees them at once."""
        for tag, value in points.items():
            self.writer.add_scalar(tag, value, step)
        self.writer.flush()

    def add_hparams(self, values: dict[str, float], validation: bool) -> None:
        """Fill the HParams tab from the run's own folder; `SummaryWriter.add_hparams` would make another below it.

        TensorBoard takes the names of the metrics from whichever run it reads first, so all runs name all of them,
        and their values from each run's curves.
        """
        splits = ("validation", "test", "train") if validation else ("test", "train")
        # The first is what one chooses by.
        metrics = {f"{kind}/{split}": 0.0 for kind in ("accuracy", "loss") for split in splits}
        for summary in hparams(values, metrics):
            self.writer._get_file_writer().add_summary(summary)

    def add_charts(self, title: str, kinds: Iterable[str]) -> None:
        """Give Custom Scalars a chart for each kind of curve, with that of every split and of all runs."""
        self.writer.add_custom_scalars({title: {kind: ["Multiline", [f"^{kind}/"]] for kind in kinds}})

    def close(self) -> None:
        """Write what is pending and close the file."""
        self.writer.close()
