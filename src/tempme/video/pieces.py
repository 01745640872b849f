"""From the windows of one file to pixels, in pieces, each distinct frame decoded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tempme.video.decode import Decoder
from tempme.video.plan import plan_frames
from tempme.video.source import Deadline, Source
from tempme.video.timeline import Timeline
from tempme.video.transforms import display_matrix, is_transposed, square
from tempme.video.values import Pixels, Sampling, Unreadable, VideoInfo, VideoWindows, Window


@dataclass
class Job:
    """Windows of one file on their way from times to pixels."""

    path: Path
    windows: tuple[Window, ...]
    timeline: Timeline
    deadline: Deadline
    size: int
    sampling: Sampling
    threads: int

    def pieces(self, piece_windows: int) -> Iterator[VideoWindows]:
        """Decode in one pass and hand out pieces as soon as their last frame is there."""
        plan = plan_frames(self.windows, self.timeline, self.sampling)
        bounds = [*range(0, len(self.windows), piece_windows), len(self.windows)]
        with Source(self.path, threads=self.threads) as source:
            decoder = Decoder(source, self.timeline, self.deadline)
            store = _Store(self.size, source.pixel_aspect)
            answers = decoder.frames_at(plan.targets)
            info: VideoInfo | None = None
            for piece, (first, stop) in enumerate(pairwise(bounds)):
                rows = plan.windows[first:stop]
                for time, frame in _until(answers, store, int(rows.max())):
                    info = info or describe(source, self.timeline, frame)
                    store.add(time, frame)
                    self.deadline.restart()
                if info is None or len(store.of_target) <= rows.max():
                    raise Unreadable("no frame could be decoded")
                note = _join(self.timeline.note, plan.note, _damage(decoder.num_damaged))
                made = self._piece(store, rows, slice(first, stop), replace(info, note=note))
                yield replace(made, piece=piece, is_last=stop == len(self.windows))
                self.deadline.restart()
                if stop < len(self.windows):
                    store.forget_before(int(plan.windows[stop:].min()))

    def _piece(
        self, store: _Store, rows: NDArray[np.int64], part: slice, info: VideoInfo
    ) -> VideoWindows:
        ids = np.array([[store.of_target[t] for t in row] for row in rows], dtype=np.int64)
        used, places = np.unique(ids, return_inverse=True)
        times = [self.timeline.seconds(store.times[i]) for i in used]
        spans = [(w.start_seconds, w.end_seconds) for w in self.windows[part]]
        return VideoWindows(
            pixels=np.stack([store.pixels[i] for i in used]),
            seconds=np.array(times, dtype=np.float64),
            windows=places.reshape(ids.shape).astype(np.int64),
            spans=np.array(spans, dtype=np.float64),
            info=info,
            note=info.note,
        )


class _Store:
    """Distinct frames as pixels, and which of them answers each time."""

    def __init__(self, size: int, pixel_aspect: float) -> None:
        self.of_target: list[int] = []
        self.times: list[int] = []
        self.pixels: dict[int, Pixels] = {}
        self._size = size
        self._pixel_aspect = pixel_aspect

    def add(self, time: int, frame: av.VideoFrame) -> None:
        """The answer to the next time: a new picture, or the last one again."""
        if not self.times or self.times[-1] != time:
            self.pixels[len(self.times)] = square(
                frame, self._size, pixel_aspect=self._pixel_aspect
            )
            self.times.append(time)
        self.of_target.append(len(self.times) - 1)

    def forget_before(self, target: int) -> None:
        """Drop pictures that no later window shows."""
        if target < len(self.of_target):
            first = self.of_target[target]
            self.pixels = {i: p for i, p in self.pixels.items() if i >= first}


def _until(
    answers: Iterator[tuple[int, av.VideoFrame]], store: _Store, target: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    while len(store.of_target) <= target:
        answer = next(answers, None)
        if answer is None:
            return
        yield answer


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
    )


def _damage(num_damaged: int) -> str:
    return f"damaged frames: {num_damaged}" if num_damaged else ""


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
