"""The doors of the package: one file in, frames or the reason why not out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import update_wrapper
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import av
import numpy as np

from tempme.errors import BadSetting
from tempme.video.containers.source import TOTAL_SECONDS, Deadline, Source
from tempme.video.containers.timeline import Timeline, read_timeline
from tempme.video.decode import Decoder
from tempme.video.pieces import Job, describe
from tempme.video.sampling import spread, uniform_indices, windows
from tempme.video.values import (
    Failure,
    Frames,
    Sampling,
    Unreadable,
    VideoInfo,
    VideoWindows,
    Window,
)

FILE_ERRORS = (Unreadable, av.FFmpegError, OSError, MemoryError)

P = ParamSpec("P")
T = TypeVar("T")


def _failing_softly(
    read: Callable[Concatenate[Path, P], T],
) -> Callable[Concatenate[Path | str, P], T | Failure]:
    """Turn what a file does to a reader into a `Failure`; wrong settings still raise."""

    def guarded(path: Path | str, /, *args: P.args, **kwargs: P.kwargs) -> T | Failure:
        try:
            return read(Path(path), *args, **kwargs)
        except FILE_ERRORS as error:
            return Failure(Path(path), reason_of(error))

    update_wrapper(guarded, read)
    return guarded


def reason_of(error: Exception) -> str:
    """One line for a person about an error met while reading a file."""
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, MemoryError):
        return "frames too large for the memory of this machine"
    return (
        f"cannot be decoded: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    )


@_failing_softly
def probe(path: Path, *, timeout_seconds: float = 60.0) -> VideoInfo:
    """What the video is: decodes its first frame, so what is probed can be read."""
    deadline = Deadline(timeout_seconds)
    timeline = read_timeline(path, deadline)
    with Source(path, stream=timeline.stream) as source:
        decoder = Decoder(source, timeline, deadline)
        for _, frame in decoder.frames_at([timeline.shown[0]]):
            return describe(source, timeline, frame)
    raise Unreadable("no frame could be decoded")


@_failing_softly
def load(
    path: Path,
    *,
    seconds: Sequence[float] | None = None,
    frames: int = 12,
    size: int = 224,
    sampling: Sampling = "auto",
    timeout_seconds: float = 60.0,
    total_seconds: float = TOTAL_SECONDS,
    threads: int = 1,
) -> Frames:
    """The frames at the given times, or `frames` ones spread over the whole video.

    Always as many as asked for, in the order asked; `Frames.seconds` are the times of the frames
    really used, from the first frame shown. `timeout_seconds` limits the wait for each frame,
    `total_seconds` all of it.
    """
    deadline = Deadline(timeout_seconds, total_seconds=total_seconds)
    timeline = read_timeline(path, deadline)
    first, end = timeline.start_seconds, timeline.duration_seconds
    times = tuple(seconds) if seconds is not None else spread(first, end, frames)
    if not times:
        raise BadSetting("seconds is empty; name at least one time, or leave it out")
    window = Window(min(times), max(times), times)
    return _one_window(path, window, timeline, deadline, size, sampling, threads)


@_failing_softly
def load_uniform(
    path: Path,
    *,
    frames: int = 12,
    size: int = 224,
    framerate: int = 1,
    start: float | None = None,
    end: float | None = None,
    timeout_seconds: float = 60.0,
    total_seconds: float = TOTAL_SECONDS,
    threads: int = 1,
) -> Frames:
    """The frames that published benchmarks use, see `uniform_indices`; found by their times."""
    deadline = Deadline(timeout_seconds, total_seconds=total_seconds)
    timeline = read_timeline(path, deadline)
    shown = timeline.shown
    fps = len(shown) / (timeline.duration_seconds - timeline.start_seconds)
    picks = uniform_indices(
        len(shown), fps, frames=frames, framerate=framerate, start=start, end=end
    )
    times = tuple(timeline.seconds(shown[i]) for i in picks)
    window = Window(min(times), max(times), times)
    return _one_window(path, window, timeline, deadline, size, "exact", threads)


def _one_window(
    path: Path,
    window: Window,
    timeline: Timeline,
    deadline: Deadline,
    size: int,
    sampling: Sampling,
    threads: int,
) -> Frames:
    job = Job(path, (window,), timeline, deadline, size, sampling, threads, "crop")
    (piece,) = job.pieces(1)
    order = piece.windows[0]
    return Frames(piece.pixels[order], tuple(piece.seconds[order].tolist()), piece.info, piece.note)


@_failing_softly
def load_windows(
    path: Path,
    *,
    frames: int = 12,
    every_seconds: float = 1.0,
    overlap: float = 0.5,
    size: int = 224,
    sampling: Sampling = "auto",
    timeout_seconds: float = 60.0,
    total_seconds: float = TOTAL_SECONDS,
    max_windows: int | None = None,
    threads: int = 1,
) -> VideoWindows:
    """All windows of a video at once, each distinct frame decoded and stored once.

    `max_windows` keeps at most so many, evenly spread. Memory grows with the video, about 150 KB
    a second at size 224: `iter_windows` and `decode_many` hand out long videos in pieces.
    """
    deadline = Deadline(timeout_seconds, total_seconds=total_seconds)
    timeline = read_timeline(path, deadline)
    first = timeline.start_seconds
    cut = windows(
        timeline.duration_seconds - first,
        frames=frames,
        every_seconds=every_seconds,
        overlap=overlap,
        start_seconds=first,
    )
    if max_windows is not None and len(cut) > max_windows:
        cut = tuple(cut[int(i)] for i in np.linspace(0, len(cut) - 1, max(1, max_windows)))
    job = Job(path, cut, timeline, deadline, size, sampling, threads, "crop")
    (piece,) = job.pieces(len(cut))
    return piece


def iter_windows(
    path: Path | str,
    *,
    frames: int = 12,
    every_seconds: float = 1.0,
    overlap: float = 0.5,
    size: int = 224,
    sampling: Sampling = "auto",
    timeout_seconds: float = 60.0,
    total_seconds: float = TOTAL_SECONDS,
    piece_windows: int = 64,
    threads: int = 1,
    progressed: Callable[[], None] = lambda: None,
) -> Iterator[VideoWindows | Failure]:
    """The windows of a video in pieces of at most `piece_windows`.

    A `Failure` ends the video and voids the pieces before it. `timeout_seconds` limits the wait
    for each next frame; after `total_seconds`, not counting the time that the caller keeps a
    piece, the windows so far are all and the note says so. `progressed` is called with every frame.
    """
    try:
        deadline = Deadline(timeout_seconds, progressed, total_seconds)
        timeline = read_timeline(Path(path), deadline)
        first = timeline.start_seconds
        cut = windows(
            timeline.duration_seconds - first,
            frames=frames,
            every_seconds=every_seconds,
            overlap=overlap,
            start_seconds=first,
        )
        job = Job(Path(path), cut, timeline, deadline, size, sampling, threads, "crop")
        yield from job.pieces(piece_windows)
    except FILE_ERRORS as error:
        yield Failure(Path(path), reason_of(error))
