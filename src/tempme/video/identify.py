"""What a file is, by its content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tempme.video.containers.source import Source, check_file
from tempme.video.transforms import square_of_image
from tempme.video.values import Failure, Pixels, Unreadable

# First bytes of pictures, archives, documents and sounds: most files of a folder end here.
NEVER_VIDEO = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"PK\x03\x04",
    b"%PDF",
    b"ID3",
    b"fLaC",
    b"\x1f\x8b",
    b"\x7fELF",
    b"8BPS",
    b"#!",
    b"<!DOCTYPE",
    b"<html",
    b"{",
)
BRANDS_OF_IMAGES = (b"heic", b"heix", b"mif1", b"avif", b"crx ")


def is_video(path: Path | str) -> bool:
    """Whether the content is a video (an animated GIF counts, a picture does not).

    Cheap for everything else: most files are turned away by their first bytes, what remains is
    opened, never decoded. A damaged video whose container cannot be opened is not told from
    rubbish by this; `probe` names the reason.
    """
    path = Path(path)
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(NEVER_VIDEO) or head[8:12] in (*BRANDS_OF_IMAGES, b"WAVE", b"WEBP"):
            return False
        with Source(path):
            return True
    except (Unreadable, OSError):
        return False


def read_image(path: Path | str, size: int) -> Pixels | Failure:
    """A picture as (S, S, 3), cut and resized as frames are; turned as its EXIF says."""
    path = Path(path)
    try:
        check_file(path)
        with Image.open(path) as image:
            return square_of_image(_flat(ImageOps.exif_transpose(image)), size)
    except Unreadable as error:
        return Failure(path, str(error))
    except Exception as error:
        return Failure(path, f"not a picture that can be read: {type(error).__name__}")


def _flat(image: Image.Image) -> Image.Image:
    """RGB on white: as frames with transparent parts are shown."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        scaled = np.clip(np.asarray(image, dtype=np.float32) / 257, 0, 255)
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    rgba = image.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(paper, rgba).convert("RGB")
