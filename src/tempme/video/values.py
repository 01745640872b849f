"""What the package hands out: frozen values, failures among them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting

Pixels: TypeAlias = NDArray[np.uint8]
Sampling: TypeAlias = Literal["exact", "keyframes", "auto", "fast"]
SAMPLINGS: tuple[Sampling, ...] = ("exact", "keyframes", "auto", "fast")
Fit: TypeAlias = Literal["crop", "squash", "pad"]
SAMPLING_RULES = (1, 2)
FITS: tuple[Fit, ...] = ("crop", "squash", "pad")
# Work on one file: enough for a film in full on a slow core.
TOTAL_SECONDS = 3600.0
SECONDS = ("every_seconds", "timeout_seconds", "total_seconds", "elapsed_seconds")
COUNTS = ("frames", "size", "piece_windows", "threads", "max_pixels", "max_frames", "max_windows")


@dataclass(frozen=True)
class Reading:
    """How a video is read.

    frames: in each window, or in all where the whole video is one. every_seconds: from frame to
    frame of a window; overlap: the share of a window that the next one shows again. size: of the
    square pictures, in pixels. sampling: "exact" takes the frame shown at each time, "keyframes"
    the nearest keyframe, "auto" a keyframe where it shows nearly the same as the frame wanted
    (`standing_in`), "fast" the same frames decoded without the filter that smooths the edges of
    blocks. sampling_rule: how "auto" and "fast" choose; 1 is that of indexes of earlier versions,
    keyframes for all frames of a window that has enough of them. timeout_seconds: the wait
    for each next frame, so that a slow file that goes on is not given up; total_seconds: all of
    the work on a file. piece_windows: the windows that are handed out together. threads: of the
    decoder. fit: what becomes of a frame that is not square; "crop" keeps its centre, "squash" all
    of it out of shape, "pad" all of it between black bars. frame_rate: of a folder of pictures,
    which does not say how many make a second.

    The rest bounds what one file can cost; 1 GB of memory is enough for any with these. max_pixels:
    of a frame (8192 x 4096: decoders hold several at once). max_frames: that a file may claim (a
    day at 58 a second). max_windows: made of one video (33 hours as it is usually cut); a longer
    one is looked at less often. elapsed_seconds: from the first look at a file to its last window,
    with the time that whoever takes the windows needs to encode them.
    """

    frames: int = 12
    every_seconds: float = 1.0
    overlap: float = 0.5
    size: int = 224
    sampling: Sampling = "auto"
    timeout_seconds: float = 60.0
    total_seconds: float = TOTAL_SECONDS
    piece_windows: int = 64
    threads: int = 1
    fit: Fit = "crop"
    frame_rate: float = 1.0
    max_pixels: int = 2**25
    max_frames: int = 5_000_000
    max_windows: int = 20_000
    elapsed_seconds: float = 6 * 3600.0
    sampling_rule: int = SAMPLING_RULES[-1]

    def __post_init__(self) -> None:
        for name in COUNTS:
            _check_count(name, getattr(self, name))
        for name in (*SECONDS, "frame_rate"):
            _check_seconds(name, getattr(self, name))
        for name in ("every_seconds", "frame_rate"):
            if math.isinf(getattr(self, name)):
                raise BadSetting(f"{name} is {getattr(self, name)}; it must be finite")
        if not 0 <= self.overlap < 1:
            raise BadSetting(f"overlap is {self.overlap}; it is a share: at least 0 and below 1")
        if self.sampling not in SAMPLINGS:
            allowed = ", ".join(SAMPLINGS)
            raise BadSetting(f"sampling is {self.sampling!r}; it is one of {allowed}")
        if self.sampling_rule not in SAMPLING_RULES:
            raise BadSetting(f"sampling_rule is {self.sampling_rule}; it is 1 or 2")
        checked_fit(self.fit)


def checked_fit(fit: str | None) -> Fit | None:
    """The fit, or None as it is; BadSetting where there is no such fit."""
    if fit not in (None, *FITS):
        raise BadSetting(f"fit is {fit!r}; it is one of {', '.join(FITS)}")
    return fit


def _check_count(name: str, value: int) -> None:
    if not (isinstance(value, Integral) and value >= 1):
        raise BadSetting(f"{name} is {value!r}; it is a whole number, 1 or more")


def _check_seconds(name: str, value: float) -> None:
    if not (isinstance(value, Real) and value > 0):
        raise BadSetting(f"{name} is {value!r}; it is a number above 0")


AS_USUAL = Reading()


@dataclass(frozen=True)
class Failure:
    """A file that gave nothing, and why, in words for the person who owns the file.

    `is_transient` where the cause is the machine's at that time rather than the file's: a worker
    process that was killed, no memory, a disk that did not answer. Another try may succeed.
    """

    path: Path
    reason: str
    is_transient: bool = False


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
