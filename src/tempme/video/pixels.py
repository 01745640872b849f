"""One video file as pixels: the shortest way from a path to what an encoder takes."""

from __future__ import annotations

from pathlib import Path

from tempme.errors import BadVideo
from tempme.video.loading import load
from tempme.video.values import Failure, Pixels, Reading


def read_video(path: str | Path, *, frames: int = 12, size: int = 224) -> Pixels:
    """uint8 (frames, size, size, 3): frames spread over the whole video, centre squares.

    BadVideo says why a file cannot be read.
    """
    read = load(path, Reading(frames=frames, size=size, sampling="exact"))
    if isinstance(read, Failure):
        raise BadVideo(f"{path}: {read.reason}")
    return read.pixels
