"""What an index knows of files and contents while a run goes on: the rows, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tempme.index.building.scan import File, has_vanished
from tempme.index.moments import Video


@dataclass(frozen=True)
class Sorted:
    """Files by what has to be done: nothing, or a look at their content."""

    unchanged: tuple[Video, ...]
    pending: tuple[File, ...]


class Ledger:
    """The rows by path and by content; it mirrors what the run writes into the store."""

    def __init__(self, videos: Iterable[Video]) -> None:
        self._by_path: dict[Path, Video] = {}
        self._by_digest: dict[str, set[Path]] = {}
        self._contents: dict[str, Video] = {}
        for video in videos:
            self.enter(video)

    def sort(self, files: Sequence[File], *, retry_failed: bool) -> Sorted:
        """Tell files whose size and time are as known from those to look at."""
        unchanged, pending = [], []
        for file in files:
            known = self._by_path.get(file.path)
            again = known is not None and _is_tried_again(known, retry_failed)
            if known is None or again or not _is_as_known(file, known):
                pending.append(file)
            else:
                unchanged.append(known)
        return Sorted(unchanged=tuple(unchanged), pending=tuple(pending))

    def enter(self, video: Video) -> None:
        """Take over a row."""
        self.drop(video.path)
        self._by_path[video.path] = video
        if video.digest:
            self._by_digest.setdefault(video.digest, set()).add(video.path)
            if video.status != "damaged":
                self._contents[video.digest] = video

    def drop(self, path: Path) -> None:
        """Forget a row, yet not what its content is: another path may turn out to have it."""
        known = self._by_path.pop(path, None)
        if known is not None:
            self._by_digest.get(known.digest, set()).discard(path)

    def row(self, path: Path) -> Video | None:
        """The row of this path."""
        return self._by_path.get(path)

    def content(self, digest: str, *, retry_failed: bool) -> Video | None:
        """A row with this content, if looking at the content again would tell nothing new."""
        known = self._contents.get(digest)
        if known is None or _is_tried_again(known, retry_failed):
            return None
        return known

    def others(self, digest: str, path: Path) -> tuple[Path, ...]:
        """The other known paths with this content."""
        return tuple(sorted(self._by_digest.get(digest, set()) - {path}))

    def has_elsewhere(self, path: Path) -> bool:
        """Whether another file that is there has the content of this known path."""
        digest = self._by_path[path].digest
        return bool(digest) and any(not has_vanished(p) for p in self.others(digest, path))

    def below(self, root: Path) -> int:
        """How many known paths lie at or below `root`."""
        return sum(path.is_relative_to(root) for path in self._by_path)

    def missing(self) -> tuple[Path, ...]:
        """Known paths whose files are gone, wherever they lie."""
        return tuple(path for path in sorted(self._by_path) if has_vanished(path))

    def vanished(self, roots: Sequence[Path]) -> tuple[Path, ...]:
        """Known paths at or below `roots` whose files are gone."""
        return tuple(
            path
            for path in sorted(self._by_path)
            if any(path.is_relative_to(root) for root in roots) and has_vanished(path)
        )


def row_for(file: File, content: Video) -> Video:
    """The row of `file`, which has the content of another row."""
    return replace(content, path=file.path, size_bytes=file.size_bytes, mtime_ns=file.mtime_ns)


def failed_row(file: File, digest: str, reason: str, *, is_transient: bool = False) -> Video:
    """The row of a file that gave no frames; `is_transient` if the file is not to blame."""
    return Video(
        path=file.path,
        digest=digest,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        status="interrupted" if is_transient else "failed",
        reason=reason,
    )


def _is_tried_again(known: Video, retry_failed: bool) -> bool:
    return known.may_pass or (retry_failed and known.status == "failed")


def _is_as_known(file: File, known: Video) -> bool:
    return (file.size_bytes, file.mtime_ns) == (known.size_bytes, known.mtime_ns)
