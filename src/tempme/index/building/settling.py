"""What becomes of each file of a run: its row, who waits for its content, what is counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tempme.index.building.digests import CHANGED, Identified, is_still
from tempme.index.building.ledger import Ledger, failed_row, row_for
from tempme.index.building.pace import Pace
from tempme.index.building.scan import File
from tempme.index.building.writer import Writer
from tempme.index.moments import Moments, Video


class Settling:
    """Takes files as they are identified and read; each ends in one row.

    Decode threads draw files from it while the encoder finishes others, so all is done under one
    lock. `was_moved` tells whether a known path is gone because its file was renamed.
    """

    def __init__(
        self,
        ledger: Ledger,
        writer: Writer,
        *,
        retry_failed: bool,
        was_moved: Callable[[Path], bool],
    ) -> None:
        self.ledger, self.writer = ledger, writer
        self.pace = Pace()
        self.counts: Counter[str] = Counter()
        self.failures: list[Video] = []
        self.notes: list[Video] = []
        self._retry_failed, self._was_moved = retry_failed, was_moved
        self._in_flight: dict[Path, Identified] = {}
        self._same_content: dict[str, list[File]] = {}
        self._again: list[File] = []
        self._lock = threading.Lock()

    def leave(self, videos: Iterable[Video]) -> None:
        """Count files that are as known."""
        for video in videos:
            self._count(video, "unchanged")

    def is_new(self, item: Identified) -> bool:
        """Whether the content has to be read; if not, the file is settled or waits for it."""
        with self._lock:
            content = self.ledger.content(item.digest, retry_failed=self._retry_failed)
            if item.reason:
                self._settle(item.file, failed_row(item.file, "", item.reason))
            elif content is not None:
                self._settle(item.file, row_for(item.file, content))
            elif item.digest in self._same_content:
                self._same_content[item.digest].append(item.file)
            else:
                self._same_content[item.digest] = []
                self._in_flight[item.file.path] = item
                return True
        return False

    def file(self, path: Path) -> Identified:
        """The file in flight at this path."""
        return self._in_flight[path]

    def finish(self, item: Identified, row: Video, moments: Moments | None = None) -> None:
        """A file has been read: the row of it and of all files found to have the same content.

        What was read counts only if the file still is what its digest says; if not, it is kept
        for one more try.
        """
        is_same = is_still(item)
        with self._lock:
            del self._in_flight[item.file.path]
            waiting = self._same_content.pop(item.digest)
            if not is_same:
                self._again += [item.file, *waiting]
                return
            if moments is not None:
                self.writer.add_moments(moments)
            self._settle(item.file, row)
            for file in waiting:
                self._settle(file, row_for(file, row))

    def fail(self, item: Identified, reason: str, *, is_transient: bool = False) -> None:
        """A file gave no frames; `is_transient` if it is not to blame."""
        row = failed_row(item.file, item.digest, reason, is_transient=is_transient)
        self.finish(item, row)

    def take_again(self) -> tuple[File, ...]:
        """The files that changed while they were read, to be tried once more."""
        with self._lock:
            files, self._again = tuple(self._again), []
        return files

    def give_up(self) -> None:
        """Files that changed each time they were read fail; the next run tries them again."""
        for file in self.take_again():
            with self._lock:
                self._settle(file, failed_row(file, "", CHANGED))

    def drop(self, path: Path) -> None:
        """A row that has to go."""
        self.ledger.drop(path)
        self.writer.forget(path)
        self.counts["removed"] += 1

    def flush(self, *, in_time: bool = False) -> None:
        """Write what is settled, or only if it is time to."""
        with self._lock, self.pace.paused():
            if in_time:
                self.writer.flush_in_time()
            else:
                self.writer.flush()

    def _settle(self, file: File, row: Video) -> None:
        before = self.ledger.row(file.path)
        was_so = before is not None and (before.digest, before.status) == (row.digest, row.status)
        kind = "unchanged" if was_so else "indexed"
        old = self._old_name(row) if kind == "indexed" else None
        self.ledger.enter(row)
        self.writer.add(row)
        if old is not None:
            self.ledger.drop(old)
            self.writer.forget(old)
        self.pace.finish(file.path)
        self._count(row, kind if old is None else "renamed")

    def _old_name(self, row: Video) -> Path | None:
        others = self.ledger.others(row.digest, row.path) if row.digest else ()
        return next((other for other in others if self._was_moved(other)), None)

    def _count(self, video: Video, kind: str) -> None:
        is_failed = video.status != "ok"
        if video.reason:
            (self.failures if is_failed else self.notes).append(video)
        self.counts["failed" if is_failed else kind] += 1
