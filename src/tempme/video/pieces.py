"""From the windows of one file to pixels, in pieces, each distinct frame decoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.timeline import Timeline
from tempme.video.decode import Decoder
from tempme.video.plan import plan_frames
from tempme.video.transforms import UNTURNED, display_matrix, is_transposed, square
from tempme.video.values import (
    OutOfTime,
    Pixels,
    Reading,
    Unreadable,
    VideoInfo,
    VideoWindows,
    Window,
)


@dataclass
class WindowsJob:
    """Windows of one file on their way from times to pixels."""

    path: Path
    windows: tuple[Window, ...]
    timeline: Timeline
    deadline: Deadline
    reading: Reading

    def pieces(self, piece_windows: int) -> Iterator[VideoWindows]:
        """Decode in one pass and hand out pieces as soon as their last frame is there.

        When the time for the file is up, the windows that are complete by then are all there is.
        """
        plan = plan_frames(self.windows, self.timeline, self.reading)
        bounds = [*range(0, len(self.windows), piece_windows), len(self.windows)]
        with Source(self.path, self.reading, stream=self.timeline.stream) as source:
            decoder = Decoder(source, self.timeline, self.deadline)
            store = FrameStore(self.reading, source.pixel_aspect)
            answers = decoder.frames_at(plan.targets)
            for piece, (first, stop) in enumerate(pairwise(bounds)):
                last_target = int(plan.windows[first:stop].max())
                late = self._fill(store, answers, source, until=last_target)
                stop = stop if late is None else num_complete(plan.windows, store)
                if store.info is None or not stop:
                    raise late or Unreadable("no frame could be decoded")
                notes = self.timeline.note, plan.note, _damage(decoder.num_damaged)
                info = replace(store.info, note=_join(*notes, self._lateness(late, stop)))
                cut = self.windows[first:stop]
                made = piece_of(store, plan.windows[first:stop], cut, info, self.timeline)
                is_last = late is not None or stop == len(self.windows)
                with self.deadline.paused():
                    yield replace(made, piece=piece, is_last=is_last)
                if is_last:
                    return
                store.forget_before(int(plan.windows[stop:].min()))

    def _fill(
        self,
        store: FrameStore,
        answers: Iterator[tuple[int, av.VideoFrame]],
        source: Source,
        *,
        until: int,
    ) -> OutOfTime | None:
        """Take answers up to the target `until`; the error if the file's time is up before."""
        try:
            while len(store.of_target) <= until:
                time, frame = next(answers)
                store.info = store.info or describe(source, self.timeline, frame)
                store.add(time, frame)
                self.deadline.restart()
        except StopIteration:
            raise Unreadable("no frame could be decoded") from None
        except OutOfTime as late:
            return late
        return None

    def _lateness(self, late: OutOfTime | None, num_windows: int) -> str:
        if late is None:
            return ""
        end = self.windows[num_windows - 1].end_seconds
        return f"timeout after {late.limit_seconds:g} s: used the first {end:.1f} s"


class FrameStore:
    """Distinct frames as pixels, and which of them answers each time."""

    def __init__(self, reading: Reading, pixel_aspect: float) -> None:
        self.size = reading.size
        self.info: VideoInfo | None = None
        self.of_target: list[int] = []
        self.times: list[int] = []
        self.pixels: dict[int, Pixels] = {}
        self._reading = reading
        self._pixel_aspect = pixel_aspect
        self._rotation: float | None = None
        self._turn = UNTURNED

    def add(self, time: int, frame: av.VideoFrame) -> None:
        """The answer to the next time: a new picture, or the last one again."""
        if not self.times or self.times[-1] != time:
            if frame.rotation != self._rotation:
                self._rotation, self._turn = frame.rotation, display_matrix(frame)
            self.pixels[len(self.times)] = square(
                frame,
                self._reading.size,
                pixel_aspect=self._pixel_aspect,
                fit=self._reading.fit,
                turn=self._turn,
            )
            self.times.append(time)
        self.of_target.append(len(self.times) - 1)

    def forget_before(self, target: int) -> None:
        """Drop pictures that no later window shows."""
        if target < len(self.of_target):
            first = self.of_target[target]
            self.pixels = {i: p for i, p in self.pixels.items() if i >= first}


def piece_of(
    store: FrameStore,
    rows: NDArray[np.int64],
    windows: Sequence[Window],
    info: VideoInfo,
    timeline: Timeline,
) -> VideoWindows:
    """What is handed out of windows, whose targets (W, F) are all in the store."""
    ids = np.array(store.of_target, dtype=np.int64)[rows]
    used, places = np.unique(ids, return_inverse=True)
    pictures = [store.pixels[i] for i in used]
    times = [timeline.seconds(store.times[i]) for i in used]
    spans = [(w.start_seconds, w.end_seconds) for w in windows]
    return VideoWindows(
        pixels=np.array(pictures, dtype=np.uint8).reshape(-1, store.size, store.size, 3),
        seconds=np.array(times, dtype=np.float64),
        windows=places.reshape(ids.shape).astype(np.int64),
        spans=np.array(spans, dtype=np.float64).reshape(-1, 2),
        info=info,
        note=info.note,
    )


def num_complete(windows: NDArray[np.int64], store: FrameStore) -> int:
    """How many windows, from the first on, have all their frames."""
    lacking = windows.max(axis=1) >= len(store.of_target)
    return int(lacking.argmax()) if lacking.any() else len(windows)


def describe(source: Source, timeline: Timeline, frame: av.VideoFrame) -> VideoInfo:
    """What is known of a video once its first frame is there."""
    matrix = display_matrix(frame)
    width, height = round(frame.width * source.pixel_aspect), frame.height
    if is_transposed(matrix):
        width, height = height, width
    return VideoInfo(
        path=source.path,
        duration_seconds=timeline.duration_seconds,
        width=width,
        height=height,
        fps=source.fps,
        codec=source.codec_name,
        container=source.container.format.name,
        num_frames=len(timeline.shown),
        num_keyframes=len(timeline.shown_keys),
        rotation_degrees=frame.rotation % 360,
        note=timeline.note,
        start_seconds=timeline.start_seconds,
    )


def _damage(num_damaged: int) -> str:
    return f"damaged frames: {num_damaged}" if num_damaged else ""


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
