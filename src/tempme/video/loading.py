"""The doors of the package: one file in, frames or the reason why not out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import update_wrapper
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import av
import numpy as np

from tempme.errors import BadSetting
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.timeline import read_timeline
from tempme.video.decode import Decoder
from tempme.video.pieces import WindowsJob, describe
from tempme.video.sampling import every_at_most, spread, uniform_indices, windows
from tempme.video.stretches import FilmSplit, split
from tempme.video.values import (
    AS_USUAL,
    Failure,
    Frames,
    Reading,
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
            return _failure(Path(path), error)

    update_wrapper(guarded, read)
    return guarded


def _failure(path: Path, error: Exception) -> Failure:
    # FFmpeg's errors are of these kinds, too, but it raises them for what it finds in a file.
    is_of_machine = isinstance(error, OSError | MemoryError)
    is_transient = is_of_machine and not isinstance(error, av.FFmpegError)
    return Failure(path, reason_of(error), is_transient)


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
def probe(path: Path, reading: Reading = AS_USUAL) -> VideoInfo:
    """What the video is: decodes its first frame, so what is probed can be read."""
    deadline = Deadline(reading.timeout_seconds)
    timeline = read_timeline(path, deadline, reading)
    with Source(path, reading, stream=timeline.stream) as source:
        decoder = Decoder(source, timeline, deadline)
        for _, frame in decoder.frames_at([timeline.shown[0]]):
            return describe(source, timeline, frame)
    raise Unreadable("no frame could be decoded")


@_failing_softly
def load(
    path: Path, reading: Reading = AS_USUAL, *, seconds: Sequence[float] | None = None
) -> Frames:
    """The frames at the given times, or `reading.frames` ones spread over the whole video.

    Always as many as asked for, in the order asked; `Frames.seconds` are the times of the frames
    really used, counted as a player does.
    """
    deadline = _deadline(reading)
    timeline = read_timeline(path, deadline, reading)
    first, end = timeline.start_seconds, timeline.duration_seconds
    spread_out = spread(first, end, reading.frames)
    times = spread_out if seconds is None else tuple(seconds)
    if not times:
        raise BadSetting("seconds is empty; name at least one time, or leave it out")
    window = Window(min(times), max(times), times)
    return _one_window(WindowsJob(path, (window,), timeline, deadline, reading))


@_failing_softly
def load_uniform(
    path: Path,
    reading: Reading = AS_USUAL,
    *,
    framerate: int = 1,
    start: float | None = None,
    end: float | None = None,
) -> Frames:
    """The frames that published benchmarks use, see `uniform_indices`; found by their times.

    They are exact, whatever the sampling of `reading`.
    """
    deadline = _deadline(reading)
    timeline = read_timeline(path, deadline, reading)
    shown = timeline.shown
    fps = len(shown) / (timeline.duration_seconds - timeline.start_seconds)
    picks = uniform_indices(
        len(shown), fps, frames=reading.frames, framerate=framerate, start=start, end=end
    )
    times = tuple(timeline.seconds(shown[i]) for i in picks)
    window = Window(min(times), max(times), times)
    return _one_window(
        WindowsJob(path, (window,), timeline, deadline, replace(reading, sampling="exact"))
    )


def _one_window(job: WindowsJob) -> Frames:
    (piece,) = job.pieces(1)
    order = piece.windows[0]
    return Frames(piece.pixels[order], tuple(piece.seconds[order].tolist()), piece.info, piece.note)


@_failing_softly
def load_windows(
    path: Path,
    reading: Reading = AS_USUAL,
    *,
    max_windows: int | None = None,
    progressed: Callable[[], None] = lambda: None,
) -> VideoWindows:
    """All windows of a video at once, each distinct frame decoded and stored once.

    `max_windows` keeps at most so many, evenly spread. Memory grows with the video, about 150 KB
    a second at size 224: `iter_windows` and `decode_many` hand out long videos in pieces.
    `progressed` is called with every frame.
    """
    job = _all_windows(path, reading, _deadline(reading, progressed))
    cut = job.windows
    if max_windows is not None and len(cut) > max_windows:
        cut = tuple(cut[int(i)] for i in np.linspace(0, len(cut) - 1, max(1, max_windows)))
    (piece,) = replace(job, windows=cut).pieces(len(cut))
    return piece


def iter_windows(
    path: Path | str,
    reading: Reading = AS_USUAL,
    *,
    progressed: Callable[[], None] = lambda: None,
) -> Iterator[VideoWindows | Failure]:
    """The windows of a video in pieces of at most `reading.piece_windows`.

    A `Failure` ends the video and voids the pieces before it. After `reading.total_seconds`, not
    counting the time that the caller keeps a piece, or after `reading.elapsed_seconds`, counting
    it, the windows so far are all and the note says so. `progressed` is called with every frame.
    """
    try:
        job = _all_windows(Path(path), reading, _deadline(reading, progressed))
        yield from job.pieces(reading.piece_windows)
    except FILE_ERRORS as error:
        yield _failure(Path(path), error)


def pieces_or_split(
    path: Path, reading: Reading, *, progressed: Callable[[], None], may_split: bool
) -> Iterator[VideoWindows | Failure | FilmSplit]:
    """As `iter_windows`; of a long film that may be read in stretches, only which those are."""
    try:
        job = _all_windows(path, reading, _deadline(reading, progressed))
        found = split(job) if may_split else None
        if found is None:
            yield from job.pieces(reading.piece_windows)
        else:
            yield found
    except FILE_ERRORS as error:
        yield _failure(path, error)


def _deadline(reading: Reading, progressed: Callable[[], None] = lambda: None) -> Deadline:
    return Deadline(
        reading.timeout_seconds, progressed, reading.total_seconds, reading.elapsed_seconds
    )


def _all_windows(path: Path, reading: Reading, deadline: Deadline) -> WindowsJob:
    """All that is shown, in windows; the note says if there would have been too many."""
    timeline = read_timeline(path, deadline, reading)
    first = timeline.start_seconds
    length = timeline.duration_seconds - first
    every = every_at_most(length, reading)
    if every > reading.every_seconds:
        many = f"more windows than max_windows = {reading.max_windows}"
        note = f"{many}: a frame every {every:.3g} s instead of {reading.every_seconds:g} s"
        timeline = replace(timeline, note="; ".join(filter(None, (timeline.note, note))))
    cut = windows(
        length,
        frames=reading.frames,
        every_seconds=every,
        overlap=reading.overlap,
        start_seconds=first,
    )
    return WindowsJob(path, cut, timeline, deadline, reading)
