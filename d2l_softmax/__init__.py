"""Softmax regression three times over: by hand, from the built-in pieces, and with every gradient derived."""

import os

# Without this, MKL chooses its kernels by where in memory a matrix happens to lie, and the last bits of a result
# change from run to run. It must be set before the first matrix product.
os.environ.setdefault("MKL_CBWR", "AVX2")

from d2l_softmax.data import BatchIterator, Dataset, load_data_fashion_mnist, load_dataset
from d2l_softmax.device import try_gpu
from d2l_softmax.errors import UserError
from d2l_softmax.learner import Learner
from d2l_softmax.modes import MODES
from d2l_softmax.scratch import cross_entropy, cross_entropy_of_probabilities, softmax
from d2l_softmax.training import (
    Accumulator,
    DivergedError,
    EpochResult,
    accuracy,
    evaluate,
    evaluate_accuracy,
    train,
    train_epoch,
)

__all__ = [
    "MODES",
    "Accumulator",
    "BatchIterator",
    "Dataset",
    "DivergedError",
    "EpochResult",
    "Learner",
    "UserError",
    "accuracy",
    "cross_entropy",
    "cross_entropy_of_probabilities",
    "evaluate",
    "evaluate_accuracy",
    "load_data_fashion_mnist",
    "load_dataset",
    "softmax",
    "train",
    "train_epoch",
    "try_gpu",
]
