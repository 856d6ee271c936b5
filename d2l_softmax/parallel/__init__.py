"""The same loop for many learners in one matrix product, and for several processes.

It knows nothing of settings or runs.
"""

import os


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def is_first() -> bool:
    """Whether this process is the one that writes: the first, or the only one."""
    return os.environ.get("RANK", "0") == "0"
