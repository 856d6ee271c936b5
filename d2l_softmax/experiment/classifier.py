"""What a trained run says of images."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from d2l_softmax.data.datasets import load_dataset
from d2l_softmax.data.files import outermost, read_image
from d2l_softmax.data.folders import contents, find_images, printable
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.resume import check_data, read_run
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.record import checkpoint, pictures
from d2l_softmax.record.run_folder import CONFIG
from d2l_softmax.scratch import Net, softmax


class Classifier(NamedTuple):
    """A trained run: its folder, its settings, what `config.json` says of its data, and its checkpoint."""

    folder: Path
    settings: Settings
    data: dict[str, Any]
    state: dict[str, Any]

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of each class, (n, classes), of uint8 images (n, 1, height, width).

        Raises:
            UserError: they are not finite, because the weights are not or are too large.
        """
        W, b = self.state["W"], self.state["b"]
        probabilities = softmax(Net(W, b)(images.to(W.dtype) / self.settings.divisor(self.data["max_value"])))
        if not probabilities.isfinite().all():
            raise UserError(f"the weights of {self.folder} have diverged: train again with a smaller --lr")
        return probabilities


def load_classifier(folder: Path, data_dir: str | None = None) -> Classifier:
    """Read a run's checkpoint; `data_dir` is where its data are now, if they have moved.

    Raises:
        UserError: there is no run, its files are damaged or not of one run, or it has no checkpoint.
    """
    settings, data = read_run(folder, data_dir)
    if (state := checkpoint.load(folder)) is None:
        raise UserError(f"{folder} has no checkpoint: train it further with --resume, or name another run")
    identity = {"data": data["sha256"], **settings.identity()}
    shape = data["height"] * data["width"], len(data["classes"])
    if not identity.items() <= state["identity"].items() or state["W"].shape != shape:
        raise UserError(f"{checkpoint.CHECKPOINT} and {CONFIG} in {folder} are not of one run: put them back")
    return Classifier(folder, settings, data, state)


def classify_images(run: Classifier, paths: list[Path], invert: bool) -> tuple[list[list[str]], Tensor, Figure]:
    """Names, probabilities and a picture of one's own images, the files of `paths` and those in its folders."""
    files = []
    for path in paths:
        found = list(map(Path, find_images(path))) if path.is_dir() else [path]
        if not found:
            raise UserError(f"there is no image in {path}: it has {contents(path)}")
        files += found
    size, max_value = (run.data["height"], run.data["width"]), run.data["max_value"]
    images = torch.stack([read_image(file, size, max_value, invert) for file in files])
    _warn_of_looks(images, files, run, invert)
    probabilities, names = run.probabilities(images), [printable(file.name) for file in files]
    drawn = pictures.own_images(images, names, probabilities, run.data["classes"], max_value)
    return [[str(file)] for file in files], probabilities, drawn


def _warn_of_looks(images: Tensor, files: list[Path], run: Classifier, invert: bool) -> None:
    """Warn of images that are blank, or whose background is light where that of the training images is dark."""

    def listed(which: Tensor) -> str:
        names = [str(files[i]) for i in which.nonzero()]
        return ", ".join(names[:5]) + f" and {len(names) - 5} more" * (len(names) > 5)

    low, high = images.flatten(1).int().aminmax(dim=1)
    if (blank := low == high).any():
        warnings.warn(f"all pixels are alike in {listed(blank)}: nothing can be seen there", stacklevel=3)
    # Ink lies at the other end of the range than its background, however shaded that is.
    border, max_value = outermost(images).int().median(dim=1).values, run.data["max_value"]
    of_training = run.data.get("border", max_value / 2)
    dark_or_light = (of_training < max_value / 4) - (of_training > max_value * 3 / 4)
    if (wrong := dark_or_light * (2 * border - low - high) > 0).any():
        here, there = ("light", "dark")[::dark_or_light]
        advice = "leave out --invert" if invert else "try --invert, which exchanges black and white"
        message = f"the background is {here} in {listed(wrong)}, but {there} in the training images: {advice}"
        warnings.warn(message, stacklevel=3)


def classify_test_images(run: Classifier, count: int) -> tuple[list[list[str]], Tensor, Figure]:
    """Numbers and true classes, probabilities and a picture of the first test images."""
    settings = run.settings
    dataset = load_dataset(settings.dataset, settings.data_dir, settings.resize, settings.seed)
    check_data(dataset, run.data, run.folder)
    images, labels, classes = dataset.test_images[:count], dataset.test_labels[:count], run.data["classes"]
    probabilities = run.probabilities(images)
    drawn = pictures.predictions(images, labels, probabilities, classes, run.data["max_value"])
    return [[str(i), classes[k]] for i, k in enumerate(labels)], probabilities, drawn
