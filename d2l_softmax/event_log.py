"""The curves of a run, for TensorBoard."""

import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.training import EpochResult


class EventLog:
    """A listener that writes `loss/…` and `accuracy/…` of `train`, `test` and, where there is one, `validation`.

    The steps of TensorBoard are epochs, from 1; 0 is the start. A process that continues a run says how many steps
    are done, and TensorBoard forgets whatever an earlier process wrote after them.
    """

    def __init__(self, folder: Path, steps_done: int = 0):
        # TensorBoard reads the files of a run in the order of their names, which hold the second they were begun in.
        begun = max((int(path.name.split(".")[3]) for path in folder.glob("events.out.tfevents.*")), default=0)
        while begun <= time.time() < begun + 1:
            time.sleep(0.01)
        self.writer = SummaryWriter(str(folder), purge_step=steps_done + 1 if steps_done else 0)

    def __call__(self, result: EpochResult) -> None:
        """Write the points of one epoch, so that TensorBoard sees them at once."""
        figures = result._asdict()
        for kind in ("loss", "accuracy"):
            for split in ("train", "test", "validation"):
                if figures[f"{split}_{kind}"] is not None:
                    self.writer.add_scalar(f"{kind}/{split}", figures[f"{split}_{kind}"], result.epoch)
        self.writer.flush()

    def add(self, figures: dict[str, float], step: int) -> None:
        """Write one point for each tag in `figures`."""
        for tag, value in figures.items():
            self.writer.add_scalar(tag, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Write what is pending and close the file."""
        self.writer.close()
