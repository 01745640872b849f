"""Pair, Split: what every data set becomes; how videos are found.

A pair is one caption of one moment; a moment is a whole video, or a part of it. A split keeps every
pair in the order of the annotations, and says as data which caption belongs to which moment:

    split.moments          what a text is searched in (the gallery), each once
    split.text_targets     for each caption, the index of its moment
    split.video_targets    for each moment, the indices of its captions (one, or many)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
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


@dataclass(frozen=True)
class Located:
    """Which file holds each video.

    `missing` have no file; `duplicated` have several of the same name (the first by path is used).
    """

    paths: dict[Video, Path]
    missing: tuple[Video, ...]
    duplicated: dict[Video, tuple[Path, ...]]


def locate(videos: Iterable[Video], folder: Path | None) -> Located:
    """Find each named video anywhere below `folder`; a video that is a path is its own file.

    Without a folder only such paths are found.

    A name matches its relative path, with another suffix too (a set re-encoded to mp4), else a file
    of that name, else a video file whose name without suffix is the name, or is the name without
    its own suffix.
    """
    by_key = {} if folder is None else _files_by_name(folder)
    paths: dict[Video, Path] = {}
    duplicated: dict[Video, tuple[Path, ...]] = {}
    missing: list[Video] = []
    for video in videos:
        found = _files_of(video, by_key)
        if not found:
            missing.append(video)
            continue
        paths[video] = found[0]
        if len(found) > 1:
            duplicated[video] = found
    return Located(paths, tuple(missing), duplicated)


def video_files(folder: Path) -> list[Path]:
    """Every file below a folder that is named like a video; hidden ones are drafts of others."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith(".")
    )


def _files_by_name(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Every video file below a folder, under its relative path, its name and its stem."""
    if not folder.is_dir():
        raise BadDataset(f"{folder} is not a folder; give the one that holds the videos")
    by_key: dict[str, tuple[Path, ...]] = {}
    for path in video_files(folder):
        for key in dict.fromkeys(_names(path, folder)):
            by_key[key] = (*by_key.get(key, ()), path)
    return by_key


def _names(path: Path, folder: Path) -> tuple[str, ...]:
    """What a file may be called; `a.avi.mp4` is the re-encoded `a.avi`, so `a` too."""
    place = path.relative_to(folder)
    inside = "" if place.parent == Path() else f"{place.parent.as_posix()}/"
    stems = (path.stem, _without_suffix(path.stem))
    return (place.as_posix(), *(inside + stem for stem in stems), path.name, *stems)


def _files_of(video: Video, by_key: dict[str, tuple[Path, ...]]) -> tuple[Path, ...]:
    if isinstance(video, Path):
        return (video,) if video.is_file() else ()
    stem = _without_suffix(video)
    place = f"{video.rpartition('/')[0]}/{stem}" if "/" in video else stem
    return by_key.get(video) or by_key.get(place) or by_key.get(stem, ())


def id_of(video: Video) -> str:
    """The name of a video wherever it lies and however it was re-encoded."""
    return _without_suffix(_without_suffix(str(video)))


def _without_suffix(video: str) -> str:
    """The name less a suffix of videos; ids such as `0001_A_Film_00.01.02.000` keep their dots."""
    name = video.rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in VIDEO_SUFFIXES else name
