"""The curves of a run, for TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from d2l_softmax.training import EpochResult


class EventLog:
    """A listener that writes `loss/train`, `loss/test`, `accuracy/train` and `accuracy/test` by epoch, from 1."""

    def __init__(self, folder: Path):
        self.writer = SummaryWriter(str(folder))

    def __call__(self, result: EpochResult) -> None:
        """Write the points of one epoch, so that TensorBoard sees them at once."""
        for kind in ("loss", "accuracy"):
            for split in ("train", "test"):
                self.writer.add_scalar(f"{kind}/{split}", getattr(result, f"{split}_{kind}"), result.epoch)
        self.writer.flush()

    def close(self) -> None:
        """Write what is pending and close the file."""
        self.writer.close()
