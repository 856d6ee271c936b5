"""How this process was started, as the environment says: by torchrun as one of several, or by itself."""

import os

from d2l_softmax.errors import UserError

# What torchrun sets and PyTorch needs.
_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return all(name in os.environ for name in _NAMES) and os.environ["WORLD_SIZE"] != "1"


def is_first() -> bool:
    """Whether this process is the one that writes: the first, or the only one."""
    return not launched() or os.environ["RANK"] == "0"


def check_environment() -> None:
    """Refuse an environment that speaks of several processes but is not complete.

    Raises:
        UserError: it is.
    """
    found = {name: os.environ[name] for name in ("RANK", "WORLD_SIZE") if name in os.environ}
    if not launched() and not found.items() <= {"RANK": "0", "WORLD_SIZE": "1"}.items():
        said = " and ".join(f"{name}={value}" for name, value in found.items())
        raise UserError(f"{said} is set, but not all that torchrun sets: unset it, or start with torchrun")
