"""A long film in stretches that several processes decode: where it may be cut, and one stretch.

A stretch is what a single pass would hand out as one piece, read from the keyframe before it. Cuts
are made only where the container finds that keyframe by its index, on one clock, in a file of
which nothing is noted. Whether decoding may really start at a keyframe is not said by any of them
(a picture can be refreshed bit by bit), so that every stretch also decodes the first frame of the
next one, the two are compared (`films`), and a film in which they differ is read in one pass.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.processes.messages import Beat
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.timeline import Timeline
from tempme.video.decode import Decoder
from tempme.video.pieces import FrameStore, WindowsJob, describe, num_complete, piece_of
from tempme.video.plan import plan_frames
from tempme.video.values import OutOfTime, Pixels, Reading, VideoWindows, Window

# Of the frames of a film, those that may be decoded twice, from keyframes to where stretches begin.
MOST_TWICE = 0.25
# The times and sizes of so many frames travel to a process with each stretch: 16 MB.
MOST_FRAMES = 1_000_000


@dataclass(frozen=True, eq=False)
class FilmSplit:
    """A film that may be read in stretches: the windows of each. `note`: of the whole film."""

    stretches: tuple[tuple[Window, ...], ...]
    timeline: Timeline
    note: str


@dataclass(frozen=True, eq=False)
class Stretch:
    """One of them; `after` are the windows of the next one. Seconds: what is left to the film."""

    path: Path
    windows: tuple[Window, ...]
    after: tuple[Window, ...]
    timeline: Timeline
    total_seconds: float
    elapsed_seconds: float


@dataclass(frozen=True, eq=False)
class Done:
    """A stretch that was read.

    piece: None where no window was complete in time. seam: the first frame of the next stretch, as
    it comes out here. late: the limit of seconds that was met, 0 for none. seconds: of work.
    """

    piece: VideoWindows | None
    seam: Pixels | None
    late: float
    seconds: float


@dataclass(frozen=True)
class Doubtful:
    """A stretch that does not show what a single pass would, or of which that is not certain."""


def split(job: WindowsJob) -> FilmSplit | None:
    """The stretches of a film; None where it is short, or where a cut is not known to be safe."""
    timeline, step = job.timeline, job.reading.piece_windows
    if len(job.windows) <= step or not _is_plain(timeline):
        return None
    bounds = [*range(0, len(job.windows), step), len(job.windows)]
    parts = tuple(job.windows[first:stop] for first, stop in pairwise(bounds))
    if _num_twice(parts, timeline) > MOST_TWICE * len(timeline.shown):
        return None
    note = ""
    if job.reading.sampling == "keyframes":  # the others note nothing
        note = plan_frames(job.windows, timeline, job.reading).note
    return FilmSplit(parts, timeline, note)


def read_stretch(stretch: Stretch, beat: Beat, reading: Reading) -> Done | Doubtful:
    """Decode one stretch and a frame of the next. Raises what reading a file raises."""
    begin = time.monotonic()
    deadline = Deadline(
        reading.timeout_seconds, beat, stretch.total_seconds, stretch.elapsed_seconds
    )
    timeline = stretch.timeline
    plan = plan_frames(stretch.windows, timeline, reading)
    after = plan_frames(stretch.after, timeline, reading).targets if stretch.after else ()
    targets = sorted({*plan.targets, *after[:1]})
    rows = np.searchsorted(targets, np.array(plan.targets, dtype=np.int64))[plan.windows]
    with Source(stretch.path, reading, stream=timeline.stream) as source:
        decoder, store = (
            Decoder(source, timeline, deadline),
            FrameStore(reading, source.pixel_aspect),
        )
        late: OutOfTime | None = None
        try:
            for ticks, frame in decoder.frames_at(targets):
                store.info = store.info or describe(source, timeline, frame)
                store.add(ticks, frame)
                deadline.restart()
        except OutOfTime as error:
            late = error
        if decoder.num_damaged or store.times != targets[: len(store.times)]:
            return Doubtful()
    if late is None and len(store.times) < len(targets):
        return Doubtful()
    seam = store.pixels[targets.index(after[0])] if after and late is None else None
    limit = 0.0 if late is None else late.limit_seconds
    return Done(_piece(stretch, rows, store), seam, limit, time.monotonic() - begin)


def _piece(stretch: Stretch, rows: NDArray[np.int64], store: FrameStore) -> VideoWindows | None:
    count = num_complete(rows, store)
    if store.info is None or not count:
        return None
    windows = stretch.windows[:count]
    return piece_of(store, rows[:count], windows, store.info, stretch.timeline)


def joined(piece: VideoWindows, *, part: int, first: VideoWindows, note: str) -> VideoWindows:
    """A piece as a single pass hands it out: what is known of the film is of its first frame."""
    info = replace(first.info, note=note)
    return replace(piece, piece=part, is_last=False, info=info, note=note)


def nothing_of(piece: VideoWindows) -> VideoWindows:
    """A piece without windows."""
    return replace(
        piece,
        pixels=piece.pixels[:0],
        seconds=piece.seconds[:0],
        windows=piece.windows[:0],
        spans=piece.spans[:0],
    )


def _is_plain(timeline: Timeline) -> bool:
    """Whether all there is to know of a file says that decoding may start at its keyframes."""
    return (
        1 < len(timeline.keys) == len(timeline.seek_to)
        and not (timeline.is_by_order or timeline.clock.shifts or timeline.note)
        and len(timeline.shown) <= MOST_FRAMES
    )


def _num_twice(parts: Sequence[Sequence[Window]], timeline: Timeline) -> int:
    """How many frames lie between the keyframes that stretches start at, and their beginnings."""
    starts = [timeline.shown_at(part[0].seconds[0]) for part in parts[1:]]
    keys = [timeline.keys[timeline.start_for(start)] for start in starts]
    return sum(timeline.num_shown(key, start) for key, start in zip(keys, starts, strict=True))
