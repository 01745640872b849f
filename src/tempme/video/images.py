"""A picture file as the square that a frame would be; HEIC and AVIF are read as well."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from tempme.video.containers.source import check_file
from tempme.video.transforms import square_of_image
from tempme.video.values import Failure, Fit, Pixels, Unreadable

# 108 megapixels, as some phones take; what is held of one is 400 MB.
MOST_PIXELS = 2**27
T = TypeVar("T")
# What photos and drawings come in. Pillow knows others: an EPS is a program of a stranger, which it
# gives to Ghostscript to run.
FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX"),
    *("PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
)
TOO_LARGE = f"a picture too large to be read: at most {MOST_PIXELS} pixels"


def read_image(path: Path | str, size: int, *, fit: Fit = "crop") -> Pixels | Failure:
    """A picture as (S, S, 3), cut and resized as frames are; turned as it says itself."""
    return _read(Path(path), size, lambda image: square_of_image(image, size, fit=fit))


def read_picture(path: Path, width: int) -> Image.Image | Failure:
    """A picture whole, in RGB, at most `width` wide and twice that high, for people to look at."""
    return _read(path, width, lambda image: _within(image, width))


def _within(image: Image.Image, width: int) -> Image.Image:
    image.thumbnail((width, 2 * width))
    return image


def _read(path: Path, size: int, use: Callable[[Image.Image], T]) -> T | Failure:
    """What `use` makes of the picture upright in RGB; Failure where it cannot be read."""
    try:
        check_file(path)
        with warnings.catch_warnings():
            # Pillow warns of sizes that are allowed here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_image(path) as image:
                _check_size(image)
                # A JPEG can be read at an eighth of its size, and need not be held whole.
                image.draft("RGB", (4 * size, 4 * size))
                return use(_flat(ImageOps.exif_transpose(image)))
    except Unreadable as error:
        return Failure(path, str(error))
    except Image.DecompressionBombError:
        return Failure(path, TOO_LARGE)
    except Exception as error:
        return Failure(path, f"not a picture that can be read: {type(error).__name__}")


def open_image(path: Path) -> Image.Image:
    """A picture in one of `FORMATS`, not yet decoded; Pillow's errors."""
    return Image.open(path, formats=_known_formats())


@cache
def _known_formats() -> tuple[str, ...]:
    """Those of `FORMATS` that Pillow reads here, once it has learnt the pictures of phones."""
    from pi_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise Unreadable(TOO_LARGE)


def _flat(image: Image.Image) -> Image.Image:
    """RGB on white: as frames with transparent parts are shown."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        scaled = np.clip(np.asarray(image, dtype=np.float32) / 257, 0, 255)
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(paper, rgba).convert("RGB")
