"""Pictures as moments without length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.ahead import ahead
from tempme.index.building.digests import Identified
from tempme.index.building.encode import Encoder, encode_windows
from tempme.index.moments import Moments, Video
from tempme.video import Failure, read_image
from tempme.video.values import Fit

PER_CALL = 32
# EXIF's orientations of pictures that are shown turned by a quarter.
LYING = (5, 6, 7, 8)


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels (S, S, 3) of a picture and what its file says of it."""

    item: Identified
    pixels: NDArray[np.uint8]
    codec: str
    width: int
    height: int


def read_pictures(
    items: Iterable[Identified], size: int, fit: Fit
) -> Iterator[Sequence[tuple[Identified, Picture | Failure]]]:
    """Pictures with what was read of them, read in threads, a batch at a time."""

    def read(item: Identified) -> tuple[Identified, Picture | Failure]:
        return item, _read(item, size, fit)

    batch = []
    for answer in ahead(read, items):
        batch.append(answer)
        if len(batch) == PER_CALL:
            yield batch
            batch = []
    if batch:
        yield batch


def encode_pictures(retriever: Encoder, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Pictures -> features (P, D): a picture is a video in which nothing moves."""
    if not pictures:
        return np.zeros((0, retriever.feature_size), dtype=np.float32)
    pixels = np.stack([picture.pixels for picture in pictures])
    windows = np.arange(len(pictures))[:, None].repeat(retriever.num_frames, axis=1)
    return encode_windows(retriever, pixels, windows=windows)


def picture_row(picture: Picture, moments: Moments) -> Video:
    """The row of a picture: one moment, from 0 to 0 seconds."""
    file = picture.item.file
    return Video(
        path=file.path,
        digest=picture.item.digest,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        codec=picture.codec,
        width=picture.width,
        height=picture.height,
        num_moments=len(moments.spans),
        checksum=moments.checksum,
    )


def _read(item: Identified, size: int, fit: Fit) -> Picture | Failure:
    pixels = read_image(item.file.path, size, fit=fit)
    if isinstance(pixels, Failure):
        return pixels
    codec, width, height = _described(item.file.path)
    return Picture(item, pixels, codec, width, height)


def _described(path: Path) -> tuple[str, int, int]:
    """Format, width and height as shown, from the head of the file; by the suffix without."""
    from PIL import ExifTags, Image

    try:
        with Image.open(path) as image:
            is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) in LYING
            sides = (image.height, image.width) if is_turned else image.size
            return str(image.format or path.suffix[1:]).lower(), *sides
    except Exception:  # a damaged head has many ways to say so, and the pixels are there already
        return path.suffix[1:].lower(), 0, 0
