"""How this process was started, as the environment says: by torchrun as one of several, or by itself."""

import os


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ["WORLD_SIZE"] != "1"


def is_first() -> bool:
    """Whether this process is the one that writes: the first, or the only one."""
    return not launched() or os.environ["RANK"] == "0"
