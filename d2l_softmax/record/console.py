"""The table that is printed while a run trains."""

from d2l_softmax.metrics import EpochResult


def heading(field: str) -> str:
    """What a table calls a field of `EpochResult`."""
    return field.replace("_", " ").replace("accuracy", "acc").replace("validation", "val")


class EpochTable:
    """Prints one line per epoch under the names of the columns.

    Args:
        validation: whether there are validation figures.
        more: the headings of further columns.
    """

    def __init__(self, validation: bool, *more: str):
        splits = ("train", "test", "validation") if validation else ("train", "test")
        self.fields, self.more = [f"{split}_{kind}" for split in splits for kind in ("loss", "accuracy")], more
        print("epoch", *map(heading, self.fields), "seconds", *more, sep="  ", flush=True)

    def add(self, result: EpochResult, *more: float) -> None:
        """Print the line of one epoch, with a value for each further column."""
        figures = [f"{getattr(result, field):{len(heading(field))}.4f}" for field in self.fields]
        further = [f"{value:{len(head)}.1e}" for head, value in zip(self.more, more, strict=True)]
        print(f"{result.epoch:5d}", *figures, f"{result.seconds:7.3f}", *further, sep="  ", flush=True)
