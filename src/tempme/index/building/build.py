"""Indexing: files -> digests -> frames -> features -> rows, decoding while the encoder works.

Everything is settled video by video: its moments, then its row. What a killed run leaves is a
smaller index, never a wrong one.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.digests import Identified, identify, keep_videos
from tempme.index.building.encode import Encoder, encode_windows, join_batches, why_unusable
from tempme.index.building.ledger import Ledger, failed_row, row_for
from tempme.index.building.report import Counts, Progress, Report
from tempme.index.building.scan import File, Found, find_files
from tempme.index.building.writer import Writer
from tempme.index.header import Cutting
from tempme.index.moments import Moments, Video
from tempme.index.stores.store import Store
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.video import TOTAL_SECONDS, Failure, VideoWindows, decode_many

NO_FEATURE = "the model gave no usable feature ({}) for it"

Answer = tuple[Path, VideoWindows | Failure]
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Order:
    """What one run is asked to do."""

    paths: tuple[Path, ...]
    prune: bool = False
    retry_failed: bool = False
    workers: int | None = None
    timeout_seconds: float = 120.0
    total_seconds: float = TOTAL_SECONDS
    worker_memory_mb: float | None = WORKER_MEMORY_MB


@dataclass
class _Pieces:
    """A long video arrives in pieces: its spans and features so far."""

    spans: list[NDArray[np.float64]] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)


class Build:
    """One run over the files of an order; the caller holds the index's write lock.

    `check` raises when nothing may be written any more.
    """

    def __init__(
        self,
        store: Store,
        retriever: Encoder,
        *,
        cutting: Cutting,
        order: Order,
        check: Callable[[], None] = lambda: None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.store, self.retriever, self.cutting, self.order = store, retriever, cutting, order
        self.check, self.on_progress = check, on_progress
        self.ledger = Ledger(store.videos())
        self.writer = Writer(store, check=check)
        self.counts: Counter[str] = Counter()
        self.failures: list[Video] = []
        self._in_flight: dict[Path, Identified] = {}
        self._same_content: dict[str, list[File]] = {}
        self._pieces: dict[Path, _Pieces] = {}
        self._pending: tuple[File, ...] = ()
        self._total = self._total_bytes = self._done_bytes = 0
        self._decode_seconds = self._encode_seconds = 0.0
        self._begin = time.monotonic()
        self._lock = threading.Lock()

    def run(self) -> Report:
        """Do the order; whatever interrupts it, the videos finished so far are written."""
        self.store.sweep()  # what a killed run wrote of a video that it did not finish
        found = find_files(self.order.paths)
        try:
            self._settle_known(found)
            self._tell()
            self._index_pending()
            if self.order.prune:
                self._prune()
        finally:
            with self._lock:
                self.writer.flush()
        self.check()
        self.store.sweep()
        if self.writer.num_writes or self.counts["removed"]:
            self.store.tidy()
        return self._report(found)

    def _settle_known(self, found: Found) -> None:
        known = self.ledger.sort(found.files, retry_failed=self.order.retry_failed)
        self._pending = keep_videos(known.pending)
        self._total = len(known.unchanged) + len(self._pending)
        self._total_bytes = sum(file.size_bytes for file in self._pending)
        for video in known.unchanged:
            self._count(video, "unchanged")

    def _index_pending(self) -> None:
        answers = self._decoded(self._to_decode())
        try:
            while (answer := self._wait_for(answers)) is not None:
                path, result = answer
                if isinstance(result, Failure):
                    self._fail(path, result.reason, is_transient=result.is_transient)
                else:
                    self._take(path, result)
                self._write_in_time()
                self._tell(path)
        finally:
            answers.close()
        self._tell()

    def _decoded(self, paths: Iterator[Path]) -> Generator[Answer]:
        reading = self.cutting.reading(
            frames=self.retriever.num_frames,
            size=self.retriever.image_size,
            timeout_seconds=self.order.timeout_seconds,
            total_seconds=self.order.total_seconds,
        )
        yield from decode_many(
            paths,
            reading,
            workers=self.order.workers,
            worker_memory_mb=self.order.worker_memory_mb,
        )

    def _to_decode(self) -> Iterator[Path]:
        """The files whose content is new; the others are settled on the way.

        The decoder's threads draw from this, so whatever it shares is touched under the lock.
        """
        for item in identify(self._pending):
            with self._lock:
                is_new = self._is_new(item)
            if is_new:
                yield item.file.path

    def _is_new(self, item: Identified) -> bool:
        content = self.ledger.content(item.digest, retry_failed=self.order.retry_failed)
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

    def _wait_for(self, answers: Generator[Answer]) -> Answer | None:
        begin = time.monotonic()
        answer = next(answers, None)
        self._decode_seconds += time.monotonic() - begin
        return answer

    def _take(self, path: Path, piece: VideoWindows) -> None:
        pieces = self._pieces.setdefault(path, _Pieces())
        begin = time.monotonic()
        features = encode_windows(self.retriever, piece.pixels, windows=piece.windows)
        self._encode_seconds += time.monotonic() - begin
        pieces.spans.append(piece.spans)
        pieces.features.append(features)
        if piece.is_last:
            self._finish(path, piece)

    def _finish(self, path: Path, last: VideoWindows) -> None:
        item, pieces = self._in_flight[path], self._pieces[path]
        features = join_batches(pieces.features)
        if problem := why_unusable(features):
            self._fail(path, NO_FEATURE.format(problem))
            return
        spans = np.concatenate(pieces.spans)
        moments = Moments(item.digest, spans, features)
        self.writer.add_moments(moments)
        self._settle_all(item, _ok_row(item, last, moments))

    def _fail(self, path: Path, reason: str, *, is_transient: bool = False) -> None:
        item = self._in_flight[path]
        row = failed_row(item.file, item.digest, reason, is_transient=is_transient)
        self._settle_all(item, row)

    def _settle_all(self, item: Identified, row: Video) -> None:
        """The file that was looked at, and those found meanwhile to have the same content."""
        self._pieces.pop(item.file.path, None)
        with self._lock:
            del self._in_flight[item.file.path]
            self._settle(item.file, row)
            for file in self._same_content.pop(item.digest):
                self._settle(file, row_for(file, row))

    def _write_in_time(self) -> None:
        with self._lock:
            self.writer.flush_in_time()

    def _settle(self, file: File, row: Video) -> None:
        before = self.ledger.row(file.path)
        was_so = before is not None and (before.digest, before.status) == (row.digest, row.status)
        kind = "unchanged" if was_so else "indexed"
        old = self.ledger.left_behind(row.digest, file.path) if kind == "indexed" else None
        self.ledger.enter(row)
        self.writer.add(row)
        if old is not None:
            self.ledger.drop(old)
            self.writer.forget(old)
        self._done_bytes += file.size_bytes
        self._count(row, kind if old is None else "renamed")

    def _count(self, video: Video, kind: str) -> None:
        if video.status != "ok":
            self.failures.append(video)
        self.counts[kind if video.status == "ok" else "failed"] += 1

    def _prune(self) -> None:
        roots = [Path(os.path.realpath(path)) for path in self.order.paths]
        for path in self.ledger.vanished(roots):
            self.ledger.drop(path)
            self.writer.forget(path)
            self.counts["removed"] += 1

    def _tell(self, path: Path | None = None) -> None:
        if self.on_progress is not None:
            self.on_progress(self._progress(path))

    def _progress(self, path: Path | None = None) -> Progress:
        return Progress(
            total=self._total,
            done=self.counts.total() - self.counts["removed"],
            total_bytes=self._total_bytes,
            done_bytes=self._done_bytes,
            new=self.counts["indexed"],
            failed=self.counts["failed"],
            seconds=time.monotonic() - self._begin,
            decode_seconds=self._decode_seconds,
            encode_seconds=self._encode_seconds,
            path=path,
        )

    def _report(self, found: Found) -> Report:
        progress = self._progress()
        return Report(
            videos=Counts(**self.counts),
            moments=self.store.num_moments(),
            seconds=progress.seconds,
            decode_seconds=progress.decode_seconds,
            encode_seconds=progress.encode_seconds,
            videos_per_second=progress.videos_per_second,
            failures=tuple(self.failures),
            unreadable=found.unreadable,
        )


def _ok_row(item: Identified, last: VideoWindows, moments: Moments) -> Video:
    return Video(
        path=item.file.path,
        digest=item.digest,
        size_bytes=item.file.size_bytes,
        mtime_ns=item.file.mtime_ns,
        duration_seconds=last.info.duration_seconds,
        codec=last.info.codec,
        width=last.info.width,
        height=last.info.height,
        num_moments=len(moments.spans),
        reason=last.note,
        checksum=moments.checksum,
    )
