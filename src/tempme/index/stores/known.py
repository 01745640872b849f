"""What a process knows of the two tables, so that it reads them once and not after each write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from tempme.index.moments import Moments, Video
from tempme.index.stores.damage import with_lost


@dataclass(frozen=True)
class KnownRows:
    """Sound rows and the moments of each content, orphans included, as of a version of the tables.

    `base` is the version that was read, `changed` the paths that were written or removed since.
    """

    version: str
    rows: Mapping[Path, Video]
    counts: Mapping[str, int]
    base: str
    changed: frozenset[Path] = field(default=frozenset())

    @classmethod
    def of(
        cls, version: str, videos: Sequence[Video], counts: Mapping[str, int]
    ) -> KnownRows | None:
        """What was read; None where a row is damaged, or a path there twice: such is read again."""
        rows = {video.path: video for video in videos}
        if len(rows) < len(videos) or any(video.status == "damaged" for video in videos):
            return None
        return cls(version, rows, counts, base=version)

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """All rows, ordered by path; "damaged" where moments are lost."""
        found = with_lost(self.rows.values(), self.counts)
        return tuple(sorted(found, key=lambda video: video.path))

    def at(self, version: str) -> KnownRows:
        """The same, as of a version that holds the same."""
        return self._same(replace(self, version=version))

    def copied(self) -> KnownRows:
        """The same, nothing of which has changed since a copy was made."""
        return self._same(replace(self, base=self.version, changed=frozenset()))

    def _same(self, other: KnownRows) -> KnownRows:
        """With the rows in order, if they are: that takes longest."""
        if (videos := vars(self).get("videos")) is not None:
            vars(other)["videos"] = videos
        return other

    def put(self, version: str, videos: Sequence[Video], moments: Sequence[Moments]) -> KnownRows:
        """With what was written."""
        counts = Counter(self.counts)
        for one in moments:
            counts[one.digest] += len(one.spans)
        rows = {**self.rows, **{video.path: video for video in videos}}
        changed = self.changed.union(video.path for video in videos)
        return replace(self, version=version, rows=rows, counts=counts, changed=changed)

    def without(self, version: str, paths: Collection[Path]) -> KnownRows:
        """Without the rows of these paths."""
        gone = set(paths)
        rows = {path: row for path, row in self.rows.items() if path not in gone}
        return replace(self, version=version, rows=rows, changed=self.changed | gone)

    def swept(self, version: str, contents: Collection[str]) -> KnownRows:
        """Without the moments of these contents."""
        counts = {name: count for name, count in self.counts.items() if name not in contents}
        return replace(self, version=version, counts=counts)
