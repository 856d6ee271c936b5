"""The command `predict.py`: what a trained run makes of images."""

import argparse
import io
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from d2l_softmax.commands.command_line import Parser, program, run_command
from d2l_softmax.data.catalogue import DATASETS
from d2l_softmax.errors import UserError
from d2l_softmax.experiment.job import prepare
from d2l_softmax.experiment.resume import settings_of
from d2l_softmax.experiment.settings import Settings
from d2l_softmax.record.checkpoint import LAST, load_last
from d2l_softmax.record.run_folder import CONFIG, read_config
from d2l_softmax.scratch import Net, softmax

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNT, FIGURE = 10, "predicted.png"
MAX_BYTES = 2**27  # of an image file


class Classifier(NamedTuple):
    """A trained run: its folder, its settings, what `config.json` says of its data, and its last good checkpoint."""

    folder: Path
    settings: Settings
    data: dict[str, Any]
    checkpoint: Path
    state: dict[str, Any]

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of each class, (n, classes), of uint8 images (n, 1, height, width).

        Raises:
            UserError: they are not finite, because the weights are not or are too large.
        """
        W, b = self.state["W"], self.state["b"]
        probabilities = softmax(Net(W, b)(images.to(W.dtype) / self.settings.scale(self.data["max_value"])))
        if not probabilities.isfinite().all():
            raise UserError(f"the weights in {self.checkpoint} have diverged: train again with a smaller --lr")
        return probabilities


def newest_run(logdir: Path) -> Path:
    """The run below `logdir`, or within a comparison or a sweep there, that was started or resumed last.

    Raises:
        UserError: there is no run that has a checkpoint.
    """
    configs = [path for pattern in (f"*/{CONFIG}", f"*/*/{CONFIG}") for path in logdir.glob(pattern)]
    configs = [path for path in configs if (path.parent / LAST).exists()]
    if not configs:
        raise UserError(f"there is no run with a checkpoint in '{logdir}': name a run, or a folder with --logdir")
    return max(configs, key=lambda path: path.stat().st_mtime_ns).parent


def load_classifier(folder: Path) -> Classifier:
    """Read a run's last good checkpoint.

    Raises:
        UserError: there is no run, its files are damaged or not of one run, or it has no checkpoint.
    """
    config = read_config(folder)
    if "members" in config:
        raise UserError(f"{folder} holds several runs: name one of them, {', '.join(config['members'])}")
    settings, data = settings_of(folder, config), config["data"]
    if (found := load_last(folder)) is None:
        raise UserError(f"{folder} has no checkpoint: train it further with --resume, or name another run")
    state, checkpoint = found
    shape = data["height"] * data["width"], len(data["classes"])
    for tensor, expected in ((state["W"], shape), (state["b"], shape[1:])):
        # A file may also hold sparse tensors, tensors without values, and a few values repeated without end.
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_contiguous()
        if not plain or tensor.shape != expected or tensor.dtype != getattr(torch, settings.dtype):
            raise UserError(f"{checkpoint} and {folder / CONFIG} are not of one run: put back its files")
    return Classifier(folder, settings, data, checkpoint, state)


def read_image(path: Path, height: int, width: int, max_value: int = 255, invert: bool = False) -> Tensor:
    """Read a PNG or JPEG file as the training images were made: uint8 (1, height, width), from 0 to `max_value`.

    Colours become grey (ITU-R 601) and 16 bits their upper 8; a photograph is turned upright as its EXIF data say.
    The whole image is scaled to the new size, as `torchvision.transforms.Resize` does it, whatever its proportions.
    What is transparent becomes black, the background of the training images.

    Args:
        path: the file.
        height, width: in pixels.
        max_value: the byte that stands for an intensity of 1 in the training images.
        invert: for dark on light: exchange black and white.

    Raises:
        UserError: the file cannot be read, is damaged, of another kind, or so large that it may be an attack.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.exists() and not path.is_file():
        raise UserError(f"cannot read the image {path}: it is not a file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{path} has more than {MAX_BYTES:,} bytes: scale the image down first")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Decoding alone does not look at the checksums of a PNG.
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")).verify()
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content), formats=("PNG", "JPEG")))
            if image.mode.startswith("I"):  # 16 bits, which PIL would cut off at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if "A" in image.getbands() or "transparency" in image.info:
                background = Image.new("RGBA", image.size, "white" if invert else "black")
                image = Image.alpha_composite(background, image.convert("RGBA"))
            grey = image.convert("L")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: scale it down first") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not a PNG or JPEG image: convert it to one") from error
    except Exception as error:
        # Whatever the decoders raise for bytes that are not an image.
        raise UserError(f"{path} is damaged ({str(error) or type(error).__name__}): replace it") from error
    # Before the new size, because what training resizes are bytes from 0 to `max_value`, too.
    levels = grey.point(lambda byte: round((255 - byte if invert else byte) * max_value / 255))
    return torch.from_numpy(np.array(levels.resize((width, height), Image.Resampling.BILINEAR))).unsqueeze(0)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        prog=program(),
        usage="%(prog)s [RUN] [IMAGE …] [options]",
        description="Print the class that a trained run gives each image, and its probability, and draw the images "
        f"in RUN/{FIGURE}. Without an image, the first {COUNT} test images of the run's data set are classified and "
        "compared with the truth.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="RUN, IMAGE",
        help="a run's folder (default: the newest run in --logdir), then PNG or JPEG files; they are made grey and "
        "scaled to the size of the training images",
    )
    parser.add_argument(
        "--invert",
        action="store_true",
        help="exchange black and white, for images that are dark on light: those of the named data sets are light on "
        "dark",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the data set is, without images (default: where it was for training)"
    )
    parser.add_argument(
        "--logdir", type=Path, metavar="DIR", help="the folder of all runs, where RUN is not named (default: runs)"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done. 2: something that the user can fix; then nothing has been printed on stdout. 130: Ctrl-C.
    """
    return run_command(program(), lambda: _predict(parser().parse_intermixed_args(arguments)))


def _predict(options: argparse.Namespace) -> int:
    run_given, images = _tell_apart(options.paths)
    if options.invert and not images:
        raise UserError("--invert is for images, but none is named; test images are what the run was trained on")
    if options.data_dir is not None and images:
        raise UserError("--data-dir is for the test images of the run's data set, but other images are named")
    if options.logdir is not None and run_given:
        raise UserError(f"--logdir is for the newest run in it, but {run_given} is named")
    run = load_classifier(run_given or newest_run(options.logdir or Path("runs")))
    classes = run.data["classes"]
    title = f"{run.folder}, after epoch {run.state['epoch']} ({run.checkpoint.name})"
    if images:
        names, probabilities, drawn = _classify_images(run, images, options.invert)
        heads = ["image", "class", "probability"]
    else:
        names, probabilities, drawn = _classify_test_images(run, options.data_dir)
        heads = ["image", "true class", "class", "probability"]
        right = sum(classes[k] == true for (_, true), k in zip(names, probabilities.argmax(dim=1), strict=True))
        title += f"\n{right} of the first {len(names)} test images of {run.data['name']} right"
    title += _save(drawn, run.folder / FIGURE)
    best = zip(*(values.tolist() for values in reversed(probabilities.max(dim=1))), strict=True)
    rows = [heads, *([*name, classes[k], f"{p:.4f}"] for name, (k, p) in zip(names, best, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(f"{title}\n", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows), sep="\n")
    return 0


def _save(figure: "Figure", path: Path) -> str:
    """Write a picture and return where it is, to be printed; where that is not possible, warn."""
    from d2l_softmax.record import pictures

    try:
        pictures.save(figure, path)
    except OSError as error:
        warnings.warn(f"cannot write {path}: {error.strerror or error}", stacklevel=2)
        return ""
    return f"; see {path}"


def _tell_apart(paths: list[Path]) -> tuple[Path | None, list[Path]]:
    """The run, if one is named, and the images: the first path is an image only if there is such a file."""
    if paths and os.path.isdir(paths[0]):
        return paths[0], paths[1:]
    if paths and not os.path.exists(paths[0]):
        raise UserError(
            f"there is no run or image '{paths[0]}': name a run's folder, as train.py prints it, or images"
        )
    return None, paths


def _classify_images(run: Classifier, paths: list[Path], invert: bool) -> tuple[list[list[str]], Tensor, "Figure"]:
    """Names, probabilities and a picture of one's own images."""
    from d2l_softmax.record import pictures

    *size, max_value = (run.data[name] for name in ("height", "width", "max_value"))
    images = torch.stack([read_image(path, *size, max_value, invert) for path in paths])
    border = torch.ones(size, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    is_light = images[:, 0, border].median(dim=1).values > max_value / 2
    if is_light.any() and run.data["name"] in DATASETS:
        light = ", ".join(str(path) for path, light in zip(paths, is_light, strict=True) if light)
        advice = "leave out --invert" if invert else "try --invert, which exchanges black and white"
        warnings.warn(f"the background is light in {light}, but dark in the training images: {advice}", stacklevel=2)
    probabilities, names = run.probabilities(images), [path.name for path in paths]
    drawn = pictures.own_images(images, names, probabilities, run.data["classes"], max_value)
    return [[str(path)] for path in paths], probabilities, drawn


def _classify_test_images(run: Classifier, data_dir: str | None) -> tuple[list[list[str]], Tensor, "Figure"]:
    """Numbers and true classes, probabilities and a picture of the first test images."""
    from d2l_softmax.record import pictures

    # What `auto` stood for then need not be what it stands for now.
    name = run.data["name"] if run.settings.dataset == "auto" else run.settings.dataset
    data_dir = run.settings.data_dir if data_dir is None else data_dir
    dataset, sha256, _ = prepare(
        replace(run.settings, dataset=name, data_dir=data_dir, device="cpu", cuda_graph=False)
    )
    if sha256 != run.data["sha256"]:
        raise UserError(
            f"the data set is not the one that {run.folder} was trained on: name its folder with --data-dir"
        )
    images, labels, classes = dataset.test_images[:COUNT], dataset.test_labels[:COUNT], run.data["classes"]
    probabilities = run.probabilities(images)
    drawn = pictures.predictions(images, labels, probabilities, classes, run.data["max_value"])
    return [[str(i), classes[k]] for i, k in enumerate(labels)], probabilities, drawn
