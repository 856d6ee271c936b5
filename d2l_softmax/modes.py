"""The modes by name: a new mode is one new file with a `build`, and its name in this table."""

from functools import partial
from importlib import import_module


def _build(mode: str, *args, **kwargs):
    # Imported when first used, so that listing the modes does not import PyTorch.
    return import_module(f"d2l_softmax.{mode}").build(*args, **kwargs)


MODES = {
    mode: partial(_build, mode)
    for mode in (
        "scratch",
        "concise",
        "manual",
    )
}


def is_own_file(mode: str) -> bool:
    """Whether a mode is a learner's own file."""
    return mode.endswith(".py")
