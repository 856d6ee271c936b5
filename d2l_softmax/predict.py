"""What a trained run makes of images: `python -m d2l_softmax.predict [RUN] [IMAGE …]`."""

import argparse
import io
import json
import os
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from d2l_softmax.checkpoint import BEST, LAST, load, load_last
from d2l_softmax.command import Parser, run_command
from d2l_softmax.data import Dataset
from d2l_softmax.errors import UserError
from d2l_softmax.experiment import prepare
from d2l_softmax.run_folder import CONFIG, read_config
from d2l_softmax.scratch import Net, softmax
from d2l_softmax.settings import Settings

COUNT, LOGDIR, FIGURE = 10, "runs", "predicted.png"


@dataclass(frozen=True)
class Classifier:
    """A trained run: its weights, and what it knows of its images.

    folder, checkpoint, epoch: the run's folder, the file of the weights, and the epoch after which they were taken.
    settings: those of the run, with the name of the data set that `auto` stood for.
    classes: one name a class.
    height, width, white: of the images, in pixels, and the byte that stands for an intensity of 1.
    sha256: checksum of the data it was trained on.
    W, b: (height × width, classes) and (classes,), on the CPU.
    """

    folder: Path
    checkpoint: Path
    epoch: int
    settings: Settings
    classes: tuple[str, ...]
    height: int
    width: int
    white: int
    sha256: str
    W: Tensor
    b: Tensor

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of each class, (n, classes), for uint8 images (n, 1, height, width) from 0 to `white`.

        Raises:
            UserError: they are not finite, because the weights are not or are too large.
        """
        images = images.to(self.W.dtype) / self.settings.scale(self.white)
        probabilities = softmax(Net(self.W, self.b)(images))
        if not probabilities.isfinite().all():
            raise UserError(f"the weights in {self.checkpoint} have diverged: train again with a smaller --lr")
        return probabilities


def newest_run(logdir: Path) -> Path:
    """The run below `logdir`, or within a comparison or a sweep there, that was started or resumed last.

    Raises:
        UserError: there is no run that has a checkpoint.
    """
    configs = [
        path
        for pattern in (f"*/{CONFIG}", f"*/*/{CONFIG}")
        for path in logdir.glob(pattern)
        if any((path.parent / name).exists() for name in (LAST, BEST))
    ]
    if not configs:
        raise UserError(
            f"there is no run with a checkpoint in '{logdir}': name a run, or all runs' folder with --logdir"
        )
    return max(configs, key=lambda path: path.stat().st_mtime_ns).parent


def load_classifier(folder: Path) -> Classifier:
    """Read a run's last good checkpoint or, where it has none but its best, that one.

    Raises:
        UserError: there is no run, its files are damaged or not of one run, or it has no checkpoint.
    """
    config = read_config(folder)
    try:
        described = _described(config)
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(
            f"{folder / CONFIG} is damaged or of another version of this program "
            f"({type(error).__name__}: {error}): train the run again"
        ) from error
    found = load_last(folder)
    if found is None:
        if not (folder / BEST).exists():
            raise UserError(
                f"{folder} has no checkpoint: train it further with train.py --resume, or name another run"
            )
        found = load(folder / BEST), folder / BEST
    checkpoint, path = found
    classifier = Classifier(folder, path, checkpoint["epoch"], W=checkpoint["W"], b=checkpoint["b"], **described)
    _check_weights(classifier)
    return classifier


def _described(config: dict) -> dict:
    """What `config.json` says of a run, checked, because the file may have been edited."""
    data, settings = config["data"], Settings(**config["settings"])
    size = {name: data[name] for name in ("height", "width", "white")}
    for name, value in size.items():
        if type(value) is not int or value < 1 or (name == "white" and value > 255):
            raise ValueError(f"{name} is {value!r}")
    if settings.dataset == "auto":
        settings = replace(settings, dataset=data["name"])
    classes = tuple(data["classes"])
    if not isinstance(settings.dataset, str) or not isinstance(settings.data_dir, str):
        raise ValueError("where the data set lies is no text")
    if not classes or len(set(classes)) < len(classes) or not all(name.isprintable() for name in classes):
        raise ValueError("the classes have no names to tell them apart")
    return {"settings": settings, "classes": classes, "sha256": data["sha256"], **size}


def _check_weights(run: Classifier) -> None:
    inputs, outputs = run.height * run.width, len(run.classes)
    dtype = getattr(torch, run.settings.dtype)
    for tensor, shape in ((run.W, (inputs, outputs)), (run.b, (outputs,))):
        # A file may also hold sparse tensors, tensors without values, and a few values repeated without end.
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_contiguous()
        if not plain or tensor.dtype != dtype or tensor.shape != shape:
            raise UserError(
                f"{run.checkpoint} has W {tuple(run.W.shape)} and b {tuple(run.b.shape)} of {run.W.dtype}, but "
                f"{run.folder / CONFIG} has {run.height}×{run.width} pixels, {outputs} classes and {dtype}: put back "
                "the files of one run"
            )


def read_image(path: Path, height: int, width: int, white: int = 255, invert: bool = False) -> Tensor:
    """Read a PNG or JPEG file as the training images were made: uint8 (1, height, width), from 0 to `white`.

    Colours become grey (ITU-R 601) and 16 bits their upper 8; a photograph is turned upright as its EXIF data say.
    The whole image is scaled to the new size, as `torchvision.transforms.Resize` does it, whatever its proportions.
    What is transparent becomes black, the background of the training images.

    Args:
        path: the file.
        height, width: in pixels.
        white: the byte that stands for an intensity of 1 in the training images.
        invert: for dark on light: exchange black and white.

    Raises:
        UserError: the file cannot be read, is damaged, of another kind, or so large that it may be an attack.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError
    from torchvision.transforms import Resize
    from torchvision.transforms.functional import pil_to_tensor

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Decoding alone does not look at the checksums of a PNG.
            Image.open(io.BytesIO(content), formats=("PNG", "JPEG")).verify()
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content), formats=("PNG", "JPEG")))
            grey = _to_grey(image, paper="white" if invert else "black")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels: scale it down first") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not a PNG or JPEG image: convert it to one") from error
    except Exception as error:
        # Whatever the decoders make of bytes that are no image.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({reason}): replace it") from error
    # Before the new size, because what training resizes are bytes from 0 to `white`, too.
    levels = grey.point(lambda byte: round((255 - byte if invert else byte) * white / 255))
    return pil_to_tensor(Resize((height, width))(levels))


def _to_grey(image, paper: str):
    """A PIL image of any mode as bytes of grey, on paper of this colour where it is transparent."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which PIL would cut off at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, paper), image.convert("RGBA"))
    return image.convert("L")


def load_test_images(run: Classifier, data_dir: str | None = None) -> Dataset:
    """Read the data set of a run, from `data_dir` where it has been moved.

    Raises:
        UserError: it cannot be had, or is not the one that the run was trained on.
    """
    where = run.settings.data_dir if data_dir is None else data_dir
    dataset = prepare(replace(run.settings, data_dir=where, device="cpu")).dataset
    size = tuple(dataset.test_images.shape[2:])
    if dataset.checksum() != run.sha256 or size != (run.height, run.width) or dataset.classes != run.classes:
        raise UserError(
            f"the data set '{run.settings.dataset}' is not the one that {run.folder} was trained on: name the folder "
            "that has it with --data-dir"
        )
    return dataset


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = Parser(
        prog="python -m d2l_softmax.predict",
        usage="%(prog)s [RUN] [IMAGE …] [options]",
        description="Print the class that a trained run gives each image, and its probability. Without an image, the "
        "first test images of the run's data set are classified, compared with the truth, and drawn.",
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
    parser.add_argument("--json", action="store_true", help="for programs: one JSON document, with every class")
    images = parser.add_argument_group("with images")
    images.add_argument("--invert", action="store_true", help="they are dark on light; the training images are not")
    tests = parser.add_argument_group("without images")
    tests.add_argument(
        "--count", type=int, metavar="N", help=f"test images (default: {COUNT}; ten at most are drawn)"
    )
    tests.add_argument("--figure", type=Path, metavar="FILE", help=f"the drawing, a .png (default: RUN/{FIGURE})")
    tests.add_argument(
        "--data-dir", metavar="DIR", help="where the data set lies (default: where it was for training)"
    )
    runs = parser.add_argument_group("without a run")
    runs.add_argument("--logdir", type=Path, metavar="DIR", help=f"the folder of all runs (default: {LOGDIR})")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done. 2: something for the user to mend; then nothing has been printed on stdout. 130: Ctrl-C.
    """

    def command() -> int:
        print(_answer(parser().parse_intermixed_args(arguments)), flush=True)
        return 0

    return run_command("predict", command)


def _answer(options: argparse.Namespace) -> str:
    run_given, images = _told_apart(options.paths)
    _check(options, run_given, bool(images))
    run = load_classifier(run_given or newest_run(options.logdir or Path(LOGDIR)))
    document = {"run": str(run.folder), "checkpoint": str(run.checkpoint), "epoch": run.epoch}
    title = f"{run.folder}, after epoch {run.epoch} ({run.checkpoint.name})"
    if images:
        size = run.height, run.width, run.white
        probabilities = run.probabilities(torch.stack([read_image(path, *size, options.invert) for path in images]))
        said = [{"image": str(path)} for path in images]
    else:
        figure = options.figure or run.folder / FIGURE
        labels, probabilities = _judge_test_images(run, options, figure)
        said = [{"image": i, "true_class": run.classes[label]} for i, label in enumerate(labels)]
        document["figure"] = str(figure)
    best = probabilities.argmax(dim=1).tolist()
    for one, row, k in zip(said, probabilities.tolist(), best, strict=True):
        one |= {"class": run.classes[k], "probability": row[k]}
        one["probabilities"] = dict(zip(run.classes, row, strict=True))
    if options.json:
        return json.dumps(document | {"predictions": said}, indent=2)
    if not images:
        right = sum(one["class"] == one["true_class"] for one in said)
        title += f"\n{right} of the first {len(said)} test images of {run.settings.dataset} right; see {figure}"
    return f"{title}\n\n{_table(said)}"


def _told_apart(paths: list[Path]) -> tuple[Path | None, list[Path]]:
    """The run, if one is named, and the images: the first path is an image only if there is such a file."""
    if not paths:
        return None, []
    if os.path.isdir(paths[0]):
        return paths[0], paths[1:]
    if not os.path.exists(paths[0]):
        raise UserError(
            f"there is no run or image '{paths[0]}': name a run's folder, as train.py prints it, or images"
        )
    return None, paths


def _check(options: argparse.Namespace, run_given: Path | None, with_images: bool) -> None:
    """Refuse what would have no effect, or could have none that is wanted."""
    if run_given is not None and options.logdir is not None:
        raise UserError(f"--logdir is to find the newest run, but the run {run_given} is named: leave one out")
    if with_images:
        for option in ("count", "figure", "data_dir"):
            if getattr(options, option) is not None:
                raise UserError(
                    f"--{option.replace('_', '-')} is for test images, but images are named: leave one out"
                )
    elif options.invert:
        raise UserError("--invert is for images, but none is named; test images are what the run was trained on")
    if options.count is not None and options.count < 1:
        raise UserError(f"--count must be a whole number of at least 1, got {options.count}")
    if options.figure is not None and options.figure.suffix.lower() != ".png":
        raise UserError(f"--figure must name a .png file, got '{options.figure}'")


def _judge_test_images(run: Classifier, options: argparse.Namespace, figure: Path) -> tuple[list[int], Tensor]:
    """Labels and probabilities of the first test images, which are drawn."""
    dataset = load_test_images(run, options.data_dir)
    count, total = COUNT if options.count is None else options.count, len(dataset.test_labels)
    if count > total and options.count is not None:
        raise UserError(f"--count {count} is more than the {total} test images of {run.settings.dataset}")
    images, labels = dataset.test_images[:count], dataset.test_labels[:count]
    probabilities = run.probabilities(images)

    from d2l_softmax import figures

    try:
        figures.save(figures.predictions(images, labels, probabilities, run.classes, run.white), figure)
    except OSError as error:
        raise UserError(f"cannot write {figure}: {error.strerror or error}; name another with --figure") from error
    return labels.tolist(), probabilities


def _table(said: list[dict]) -> str:
    names = [name for name in said[0] if name != "probabilities"]
    rows = [[f"{one[name]:.4f}" if name == "probability" else str(one[name]) for name in names] for one in said]
    rows.insert(0, [name.replace("_", " ") for name in names])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in cells)


if __name__ == "__main__":
    sys.exit(main())
