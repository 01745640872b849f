"""What the package hands out: frozen values, failures among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
Sampling: TypeAlias = Literal["exact", "keyframes", "auto"]
SAMPLINGS: tuple[Sampling, ...] = ("exact", "keyframes", "auto")
Fit: TypeAlias = Literal["crop", "squash", "pad"]
FITS: tuple[Fit, ...] = ("crop", "squash", "pad")


@dataclass(frozen=True)
class Failure:
    """A file that gave nothing, and why, in words for the person who owns the file."""

    path: Path
    reason: str


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of its video, as shown: after rotation and with square pixels.

    Seconds are a player's: 0 is where the earliest stream of the file starts, `start_seconds` when
    the first frame is shown, `duration_seconds` when the last one ends.
    """

    path: Path
    duration_seconds: float
    width: int
    height: int
    fps: float
    codec: str
    container: str
    num_frames: int
    num_keyframes: int
    rotation_degrees: int
    note: str = ""
    start_seconds: float = 0.0


@dataclass(frozen=True)
class Window:
    """A span of a video and the times at which it is looked at."""

    start_seconds: float
    end_seconds: float
    seconds: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one video: `pixels` (F, S, S, 3), and the times of the frames really used."""

    pixels: Pixels
    seconds: tuple[float, ...]
    info: VideoInfo
    note: str = ""


@dataclass(frozen=True, eq=False)
class VideoWindows:
    """Windows that share frames, each distinct frame stored once.

    `pixels` (N, S, S, 3) and `seconds` (N,) are the distinct frames in order, `windows` (W, F)
    indexes them, `spans` (W, 2) holds the start and end of each window in seconds. A long video
    comes in pieces: `piece` counts them from 0 and `is_last` closes the video. The last piece of
    a video whose time was up holds no window where none has become complete since the one before.
    """

    pixels: Pixels
    seconds: NDArray[np.float64]
    windows: NDArray[np.int64]
    spans: NDArray[np.float64]
    info: VideoInfo
    note: str = ""
    piece: int = 0
    is_last: bool = True


class Unreadable(Exception):
    """Ends the reading of one file; the public functions turn it into a `Failure`."""


class OutOfTime(Unreadable):
    """The time for a whole file is up: what has come so far may be enough."""

    def __init__(self, reason: str, limit_seconds: float) -> None:
        super().__init__(reason)
        self.limit_seconds = limit_seconds
