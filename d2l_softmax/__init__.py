"""Softmax regression three times over: by hand, from the built-in pieces, and with every gradient derived."""

import os
from importlib import import_module

# Without this, MKL chooses its kernels by where in memory a matrix happens to lie, and the last bits of a result
# change from run to run. It must be set before the first matrix product.
os.environ.setdefault("MKL_CBWR", "AVX2")

__version__ = "0.1.0"

# The public names and where they are defined. They are imported when first used: `--help` needs none of them.
_HOMES = {
    "modes": ["MODES"],
    "errors": ["UserError"],
    "device": ["try_gpu"],
    "scratch": ["cross_entropy", "cross_entropy_of_probabilities", "softmax"],
    "training": [
        *("Accumulator", "DivergedError", "EpochResult", "Learner"),
        *("accuracy", "evaluate", "evaluate_accuracy", "train", "train_epoch"),
    ],
    "data.batches": ["BatchIterator"],
    "data.datasets": ["Dataset", "load_data_fashion_mnist", "load_dataset"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
