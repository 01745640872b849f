"""Which videos a search looks at, and how many each filter would leave."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tempme.index.moments import Video
from tempme.index.stores.paths import real_path
from tempme.serving.schema import Count, Facets, Filters
from tempme.uris import uri_of

DURATIONS: tuple[tuple[str, float | None, float | None], ...] = (
    ("under 10 s", None, 10),
    ("10 s to 1 min", 10, 60),
    ("1 to 10 min", 60, 600),
    ("10 to 60 min", 600, 3600),
    ("over an hour", 3600, None),
)
"""From, and up to but not with, in seconds."""
RESOLUTIONS: tuple[tuple[str, int | None, int | None], ...] = (
    ("below 480p", None, 479),
    ("480p", 480, 719),
    ("720p", 720, 1079),
    ("1080p", 1080, 2159),
    ("4K and more", 2160, None),
)
MOST_FOLDERS = 50
MOST_DATES = 24
TINY = 1e-6


def admitted(videos: Iterable[Video], filters: Filters) -> list[Video]:
    """The videos that fit all filters."""
    tests = [test for test in _tests(filters) if test is not None]
    return [video for video in videos if all(test(video) for test in tests)]


def is_any(filters: Filters) -> bool:
    """Whether anything is filtered at all."""
    return any(value is not None for value in filters.model_dump().values())


Test = Callable[[Video], bool]


def _tests(filters: Filters) -> list[Test | None]:
    return [
        _below(filters.folder),
        _among(filters.video_ids),
        _within(
            lambda video: video.duration_seconds,
            filters.min_duration_seconds,
            filters.max_duration_seconds,
        ),
        _within(changed, filters.changed_after, filters.changed_before),
        _within(resolution, filters.min_resolution, filters.max_resolution),
    ]


def _below(folder: str | None) -> Test | None:
    if folder is None:
        return None
    real = real_path(folder)
    return lambda video: video.path.is_relative_to(real)


def _among(ids: Sequence[str] | None) -> Test | None:
    if ids is None:
        return None
    wanted = frozenset(ids)
    return lambda video: video.digest in wanted


def _within(
    value: Callable[[Video], float], least: float | None, most: float | None
) -> Test | None:
    if least is None and most is None:
        return None
    low = float("-inf") if least is None else least
    high = float("inf") if most is None else most
    return lambda video: low <= value(video) <= high


def changed(video: Video) -> float:
    """When the file was last changed, in seconds since 1970, UTC."""
    return video.mtime_ns / 1e9


def resolution(video: Video) -> int:
    """The shorter side, in pixels."""
    return min(video.width, video.height)


def facets(videos: Sequence[Video]) -> Facets:
    """Every filter that leaves something, with the number of videos that it leaves."""
    return Facets(
        total=len(videos),
        folders=_folders(videos),
        durations=[
            found
            for label, least, most in DURATIONS
            if (
                found := _count(
                    videos,
                    label,
                    min_duration_seconds=least,
                    max_duration_seconds=None if most is None else most - TINY,
                )
            ).count
        ],
        resolutions=[
            found
            for label, least, most in RESOLUTIONS
            if (found := _count(videos, label, min_resolution=least, max_resolution=most)).count
        ],
        dates=_dates(videos),
    )


def _count(videos: Sequence[Video], label: str, **limits: float | None) -> Count:
    given = {name: value for name, value in limits.items() if value is not None}
    left = admitted(videos, Filters.model_validate(given))
    return Count(label=label, count=len(left), filters=given)


def _folders(videos: Sequence[Video]) -> list[Count]:
    """The folders with most videos, those below them counted too."""
    folders = Counter(video.path.parent for video in videos)
    one_kind = len({folder.is_absolute() for folder in folders}) == 1  # a bucket's are not
    common = Path(os.path.commonpath(folders)) if one_kind else Path("/")
    return [
        Count(
            label=_label(folder, common),
            count=sum(n for other, n in folders.items() if other.is_relative_to(folder)),
            filters={"folder": uri_of(folder)},
        )
        for folder, _ in sorted(folders.most_common(MOST_FOLDERS))
    ]


def _dates(videos: Sequence[Video]) -> list[Count]:
    """By year, newest first."""
    years = Counter(datetime.fromtimestamp(changed(video), UTC).year for video in videos)
    return [
        Count(
            label=str(year),
            count=years[year],
            filters={
                "changed_after": datetime(year, 1, 1, tzinfo=UTC).timestamp(),
                "changed_before": datetime(year, 12, 31, 23, 59, 59, 999999, UTC).timestamp(),
            },
        )
        for year in sorted(years, reverse=True)[:MOST_DATES]
    ]


def _label(folder: Path, common: Path) -> str:
    """A folder below what all have in common."""
    if folder == common:
        return common.name
    return str(folder.relative_to(common)) if folder.is_relative_to(common) else uri_of(folder)
