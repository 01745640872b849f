"""What is in a file that people search by, found in a worker process, which it may crash.

Imports as little as it can: the first upload waits for the process to start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tempme.video import Failure, Reading, is_video, load_windows, read_image
from tempme.video.images import open_image

# Of a video so many windows are compared, evenly spread.
MOST_WINDOWS = 32


@dataclass(frozen=True)
class LookAt:
    """A file to decode, and how."""

    path: Path
    reading: Reading
    most_pixels: int


@dataclass(frozen=True, eq=False)
class Seen:
    """What was in it: `pixels` (N, S, S, 3), `windows` (W, F) into them; or why nothing is.

    `note` says what of a video was not looked at.
    """

    kind: str = ""
    pixels: NDArray[np.uint8] | None = None
    windows: NDArray[np.int64] | None = None
    reason: str = ""
    note: str = ""


def decode(look: LookAt) -> Seen:
    """Look at the file in this process."""
    if is_video(look.path):
        video = load_windows(look.path, look.reading, max_windows=MOST_WINDOWS)
        if isinstance(video, Failure):
            return Seen(reason=video.reason)
        return Seen("video", video.pixels, video.windows, note=video.note)
    if reason := _too_large(look):
        return Seen(reason=reason)
    picture = read_image(look.path, look.reading.size, fit=look.reading.fit)
    if isinstance(picture, Failure):
        return Seen(reason=f"not a video or picture: {picture.reason}")
    return Seen("picture", picture[None], np.zeros((1, look.reading.frames), dtype=np.int64))


def _too_large(look: LookAt) -> str:
    """Why a picture is not even decoded: a small file may hold billions of pixels."""
    try:
        with open_image(look.path) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        return "the picture has too many pixels"
    except Exception:
        return ""  # no picture: what it is instead is found out later
    if pixels > look.most_pixels:
        return f"the picture has {pixels:,} pixels; at most {look.most_pixels:,} are read"
    return ""
