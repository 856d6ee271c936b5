"""Odd images for `predict`: every mode, size and format, damaged, lying about their size, and what is no image."""

import io
import os
import random
import struct
import zlib
from collections import Counter
from pathlib import Path

from PIL import Image

from d2l_softmax.commands import predict, train
from tests.idx_files import make_folder
from tests.soak.cases import MEGABYTES, in_child, judge
from tests.soak.files import damage

MODES = {"PNG": ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"], "JPEG": ["L", "RGB", "CMYK"]}
OTHERS = {"GIF": ["L", "P"], "BMP": ["L", "RGB"], "TIFF": ["L", "F", "I;16"], "WEBP": ["RGB", "RGBA"]}
SPECIAL = ["/dev/zero", "/dev/null", "/dev/full", "/dev/stdin", "/proc/self/mem", "/proc/self/status"]
SPECIAL += ["FIFO", "FOLDER.png", "loop.png", "missing.png", "two\nlines.png", "\udcff.png", "x" * 300, ""]


def odd_image(chance: random.Random) -> bytes:
    """The bytes of an image file that few people would send."""
    kind = chance.choice([*MODES, *MODES, *MODES, *OTHERS])
    mode = chance.choice((MODES | OTHERS)[kind])
    size = [chance.choice([1, 2, 8, 28, 300, 3000]) for _ in range(2)]
    image = Image.new(mode, size, None if mode in ("1", "P") else 77 if len(mode) == 1 or ";" in mode else None)
    options = {}
    if kind == "PNG" and mode in ("1", "L", "P", "RGB") and chance.random() < 0.3:
        options["transparency"] = b"\0\x80" if mode == "P" else (0, 0, 0) if mode == "RGB" else 0
    if chance.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = chance.choice([0, 1, 3, 6, 8, 9, 2**15])
        options["exif"] = exif.tobytes()
    if kind in ("GIF", "PNG") and chance.random() < 0.2:
        options |= {"save_all": True, "append_images": [image] * 3}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_claim(chance: random.Random) -> bytes:
    """A PNG of a few bytes whose header, with the right checksum, says that it is huge."""
    sizes = [chance.choice([0, 1, 9000, 30000, 2**31 - 1, 2**32 - 1]) for _ in range(2)]
    header = b"IHDR" + struct.pack(
        ">IIBBBBB", *sizes, chance.choice([1, 8, 16]), chance.choice([0, 2, 3, 6]), 0, 0, 0
    )
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Images:
    """Attacks with one image each; the cases count what it was and whether it was refused."""

    def __init__(self, root: Path):
        make_folder(root / "data", 70, 20, 3, 5)
        self.run = root / "run"
        options = ["--dataset", str(root / "data"), "--epochs", "1", "--no-figures", "--logdir", str(root)]
        trained = in_child(lambda: train.main([*options, "--run-name", "run"]), root / "made")
        judge("train", trained, root / "made", (0,))
        # What an image takes that is as large as PIL allows, in four colours and a copy.
        self.enough = trained.megabytes + MEGABYTES + 8 * Image.MAX_IMAGE_PIXELS / 1e6

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        what, path = (
            chance.choice(["whole", "damaged", "damaged", "damaged", "huge", "special"]),
            folder / "image.png",
        )
        if what == "special":
            os.mkfifo(folder / "FIFO")
            (folder / "FOLDER.png").mkdir()
            (folder / "loop.png").symlink_to(folder / "loop.png")
            # What is named without a folder lies in that of the case.
            path = folder / chance.choice(SPECIAL)
        else:
            content = huge_claim(chance) if what == "huge" else odd_image(chance)
            path.write_bytes(damage(content, chance) if what == "damaged" else content)
        options = ["--invert"] if chance.random() < 0.2 else []
        ended = in_child(lambda: predict.main([str(self.run), str(path), *options]), folder)
        counts[f"{what} {'refused' if ended.status else 'classified'}"] += 1
        judge(what, ended, folder, most_megabytes=self.enough)
