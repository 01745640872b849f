"""One video file as pixels: the shortest way from a path to what an encoder takes."""

from __future__ import annotations

from pathlib import Path

from tempme.errors import BadVideo
from tempme.video.loading import load
from tempme.video.values import Failure, Fit, Pixels, Reading


def read_video(path: str | Path, *, frames: int = 12, size: int = 224, fit: Fit = "crop") -> Pixels:
    """uint8 (frames, size, size, 3): frames spread over the whole video.

    fit: what becomes of frames that are not square; "crop" keeps the centre, "squash" and "pad"
    all of them. BadVideo says why a file cannot be read.
    """
    read = load(path, Reading(frames=frames, size=size, sampling="exact", fit=fit))
    if isinstance(read, Failure):
        raise BadVideo(f"{path}: {read.reason}")
    return read.pixels
