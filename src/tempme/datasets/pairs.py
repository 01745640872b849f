"""Pair, Split: what every data set becomes.

A pair is one caption of one moment; a moment is a whole video, or a part of it. A split keeps every
pair in the order of the annotations, and says as data which caption belongs to which moment:

    split.moments          what a text is searched in (the gallery), each once
    split.text_targets     for each caption, the index of its moment
    split.video_targets    for each moment, the indices of its captions (one, or many)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tempme.errors import BadDataset

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "asf", "avi", "f4v", "flv", "gif", "m2ts", "m4v", "mkv", "mov"),
        *("mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)

# The name that the annotations use (a file name, or an id without suffix), or the file itself.
Video: TypeAlias = str | Path


class Moment(NamedTuple):
    """A video, or the part of it between two times; None is the video's own start or end."""

    video: Video
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One caption of one video; no start or end means the whole video."""

    video: Video
    caption: str
    start_seconds: float | None = None
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        if not str(self.video).strip():
            raise BadDataset(f"a pair names no video (caption {self.caption!r})")
        if not self.caption.strip():
            raise BadDataset(f"an empty caption for video {self.video!r}: remove the pair")
        start, end = self.start_seconds, self.end_seconds
        if (start is not None and not start >= 0) or (end is not None and not end > (start or 0.0)):
            raise BadDataset(
                f"{self.video!r} from {start} to {end} s: the start is at least 0, the end after it"
            )

    @property
    def moment(self) -> Moment:
        """The part of the video that the caption describes."""
        return Moment(self.video, self.start_seconds, self.end_seconds)


@dataclass(frozen=True)
class Split:
    """The pairs of one part of a data set, all captions kept, in the order of the annotations."""

    name: str
    pairs: tuple[Pair, ...]

    def __post_init__(self) -> None:
        if not self.pairs:
            raise BadDataset(f"{self.name} has no pairs; check the annotation files")

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """The caption of each pair."""
        return tuple(pair.caption for pair in self.pairs)

    @cached_property
    def moments(self) -> tuple[Moment, ...]:
        """What is searched: every moment once, in order of first appearance."""
        return tuple(dict.fromkeys(pair.moment for pair in self.pairs))

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """Every video once; fewer than the moments where a video has several."""
        return tuple(dict.fromkeys(pair.video for pair in self.pairs))

    @cached_property
    def text_targets(self) -> tuple[int, ...]:
        """For each caption the index of its moment."""
        place = {moment: index for index, moment in enumerate(self.moments)}
        return tuple(place[pair.moment] for pair in self.pairs)

    @cached_property
    def video_targets(self) -> tuple[tuple[int, ...], ...]:
        """For each moment the indices of its captions."""
        captions: list[list[int]] = [[] for _ in self.moments]
        for caption, moment in enumerate(self.text_targets):
            captions[moment].append(caption)
        return tuple(map(tuple, captions))

    @property
    def has_many_captions(self) -> bool:
        """Whether some moment has more than one caption (MSVD, VATEX, training sets)."""
        return len(self.pairs) > len(self.moments)

    def only(self, videos: Collection[Video]) -> Split:
        """The split of the pairs whose video is in `videos`: what is there on disk."""
        kept = frozenset(videos)
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.video in kept))


def id_of(video: Video) -> str:
    """The name of a video wherever it lies and however it was re-encoded."""
    return without_suffix(without_suffix(str(video)))


def without_suffix(video: str) -> str:
    """The name less a suffix of videos; ids such as `0001_A_Film_00.01.02.000` keep their dots."""
    name = video.rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name
