"""Softmax regression three times over: by hand, from the built-in pieces, and with every gradient derived."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

# Without this, MKL chooses its kernels by where in memory a matrix happens to lie, and the last bits of a result
# change from run to run. It must be set before the first matrix product.
os.environ.setdefault("MKL_CBWR", "AVX2")

__version__ = "1.0.0"

# The public names, for editors. They are imported when first used, because `--help` needs none of them.
if TYPE_CHECKING:
    from d2l_softmax.data.batches import BatchIterator
    from d2l_softmax.data.datasets import Dataset, load_data_fashion_mnist, load_dataset
    from d2l_softmax.device import try_gpu
    from d2l_softmax.errors import UserError
    from d2l_softmax.metrics import EpochResult
    from d2l_softmax.modes import MODES
    from d2l_softmax.scratch import cross_entropy, cross_entropy_of_probabilities, softmax
    from d2l_softmax.training import (
        Accumulator,
        DivergedError,
        Learner,
        accuracy,
        evaluate,
        evaluate_accuracy,
        train,
        train_epoch,
    )

_HOME_OF = {
    name: module
    for module, names in {
        "data.batches": "BatchIterator",
        "data.datasets": "Dataset load_data_fashion_mnist load_dataset",
        "device": "try_gpu",
        "errors": "UserError",
        "metrics": "EpochResult",
        "modes": "MODES",
        "scratch": "cross_entropy cross_entropy_of_probabilities softmax",
        "training": "Accumulator DivergedError Learner accuracy evaluate evaluate_accuracy train train_epoch",
    }.items()
    for name in names.split()
}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str):
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
