"""Indexing: files -> digests -> frames -> features -> rows, decoding while the encoder works.

Everything is settled video by video: its moments, then its row. What a killed run leaves is a
smaller index, never a wrong one.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.digests import Identified, identify
from tempme.index.building.distinct import without_repeats
from tempme.index.building.encode import Encoder, encode_windows, join_batches, why_unusable
from tempme.index.building.kinds import Kept, keep
from tempme.index.building.ledger import Ledger
from tempme.index.building.lengths import windows_in
from tempme.index.building.order import RunOrder
from tempme.index.building.pace import share_of
from tempme.index.building.pictures import Picture, encode_pictures, picture_row, read_pictures
from tempme.index.building.pruning import Root, check_roots, rows_to_prune, was_moved
from tempme.index.building.report import Counts, Progress, Report
from tempme.index.building.scan import File, FoundFiles, find_files
from tempme.index.building.settling import Settling
from tempme.index.building.writer import Writer
from tempme.index.header import Cutting
from tempme.index.moments import Moments, Video
from tempme.index.stores.store import Store
from tempme.processes.cores import sharing_cores
from tempme.uris import is_remote
from tempme.video import Failure, VideoWindows, decode_many

NO_FEATURE = "the model gave no usable feature ({}) for it"

Answer = tuple[Path, VideoWindows | Failure]
OnProgress = Callable[[Progress], None]
T = TypeVar("T")


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
        order: RunOrder,
        check: Callable[[], None] = lambda: None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.store, self.retriever, self.cutting, self.order = store, retriever, cutting, order
        self.check, self.on_progress = check, on_progress
        self.ledger = Ledger(store.videos())
        self.writer = Writer(store, check=check)
        self.settling = Settling(
            self.ledger, self.writer, retry_failed=order.retry_failed, was_moved=self._was_moved
        )
        self._roots: tuple[Root, ...] = ()
        self._pieces: dict[Path, _Pieces] = {}
        self._total = self._repeats = 0
        self._decode_seconds = self._encode_seconds = 0.0
        self._begin = time.monotonic()

    def run(self) -> Report:
        """Do the order; whatever interrupts it, the videos finished so far are written."""
        self.store.sweep()  # what a killed run wrote of a video that it did not finish
        found, kept = self._find()
        check_roots(self._roots, prune=self.order.prune, force=self.order.force)
        try:
            self._index(*self._settle_known(kept))
            again = self.settling.take_again()
            paths = {file.path for file in kept.pictures}
            self._index(
                [file for file in again if file.path not in paths],
                [file for file in again if file.path in paths],
            )
            self.settling.give_up()
            if self.order.prune:
                for path in rows_to_prune(self.ledger, self._roots, force=self.order.force):
                    self.settling.drop(path)
        finally:
            self.settling.flush()
        self.check()
        self.store.sweep()
        if self.writer.num_writes:  # what was removed is one, too
            self.store.tidy()
        return self._report(found, kept)

    def _find(self) -> tuple[FoundFiles, Kept]:
        given = self.order.paths
        found = find_files(
            [path for path in given if is_remote(path) or os.path.lexists(path)],
            exclude=self.order.exclude,
            within=self.order.within,
        )
        kept = keep(found.files, takes_picture=self._takes_picture)
        paths = [file.path for file in (*kept.videos, *kept.pictures)]
        self._roots = tuple(Root.of(path, self.ledger, paths) for path in given)
        return found, kept

    def _takes_picture(self, file: File) -> bool:
        return self.order.pictures or self.ledger.row(file.path) is not None

    def _was_moved(self, path: Path) -> bool:
        return was_moved(path, self._roots)

    def _settle_known(self, kept: Kept) -> tuple[Sequence[File], Sequence[File]]:
        """Count what is unchanged; the videos and the pictures to look at."""
        videos, pictures = (
            self.ledger.sort(files, retry_failed=self.order.retry_failed)
            for files in (kept.videos, kept.pictures)
        )
        pending = [*videos.pending, *pictures.pending]
        self.settling.leave((*videos.unchanged, *pictures.unchanged))
        self._total = len(kept.videos) + len(kept.pictures)
        lengths = windows_in(pending, frames=self.retriever.num_frames, cutting=self.cutting)
        self.settling.pace.start(pending, lambda file: lengths.get(file.path))
        self._tell()
        return videos.pending, pictures.pending

    def _index(self, videos: Sequence[File], pictures: Sequence[File]) -> None:
        if videos:
            self._index_videos(videos)
        if pictures:
            self._index_pictures(pictures)
        self._tell()

    def _index_videos(self, files: Sequence[File]) -> None:
        answers = self._decoded(self._to_read(files))
        try:
            while (answer := self._wait_for(answers)) is not None:
                path, result = answer
                if isinstance(result, Failure):
                    self._pieces.pop(path, None)
                    item = self.settling.file(path)
                    self.settling.fail(item, result.reason, is_transient=result.is_transient)
                else:
                    self._take(path, result)
                self.settling.flush(in_time=True)
                self._tell(path)
        finally:
            answers.close()

    def _index_pictures(self, files: Sequence[File]) -> None:
        new = (item for item in identify(files) if self.settling.is_new(item))
        batches = read_pictures(new, self.retriever.image_size, self.cutting.fit)
        while (batch := self._wait_for(batches)) is not None:
            pictures = []
            for item, answer in batch:
                if isinstance(answer, Failure):
                    self.settling.fail(item, answer.reason)
                else:
                    pictures.append(answer)
            self._take_pictures(pictures)
            self.settling.flush(in_time=True)
            self._tell(batch[-1][0].file.path)

    def _decoded(self, paths: Iterator[Path]) -> Generator[Answer]:
        reading = self.cutting.reading(
            frames=self.retriever.num_frames,
            size=self.retriever.image_size,
            timeout_seconds=self.order.timeout_seconds,
            total_seconds=self.order.total_seconds,
        )
        answers = decode_many(
            paths,
            reading,
            workers=self.order.workers,
            worker_memory_mb=self.order.worker_memory_mb,
        )
        return sharing_cores(answers, threads=self.order.threads)

    def _to_read(self, files: Sequence[File]) -> Iterator[Path]:
        """The files whose content is new; the others are settled on the way."""
        return (item.file.path for item in identify(files) if self.settling.is_new(item))

    def _wait_for(self, answers: Iterator[T]) -> T | None:
        begin = time.monotonic()
        answer = next(answers, None)
        self._decode_seconds += time.monotonic() - begin
        return answer

    def _take(self, path: Path, piece: VideoWindows) -> None:
        item, pieces = self.settling.file(path), self._pieces.setdefault(path, _Pieces())
        begin = time.monotonic()
        pieces.features.append(encode_windows(self.retriever, piece.pixels, windows=piece.windows))
        pieces.spans.append(piece.spans)
        self._encode_seconds += time.monotonic() - begin
        self.settling.pace.reach(path, len(piece.windows), share_of(piece))
        if piece.is_last:
            self._finish(item, self._pieces.pop(path), piece)

    def _finish(self, item: Identified, pieces: _Pieces, last: VideoWindows) -> None:
        features = join_batches(pieces.features)
        if problem := why_unusable(features):
            self.settling.fail(item, NO_FEATURE.format(problem))
            return
        spans = np.concatenate(pieces.spans)
        moments = Moments(item.digest, *without_repeats(spans, features, self.cutting.distinct))
        self._repeats += len(spans) - len(moments.spans)
        self.settling.finish(item, _ok_row(item, last, moments), moments)

    def _take_pictures(self, pictures: Sequence[Picture]) -> None:
        begin = time.monotonic()
        features = encode_pictures(self.retriever, pictures)
        self._encode_seconds += time.monotonic() - begin
        for picture, feature in zip(pictures, features, strict=True):
            item = picture.item
            stored = join_batches([feature[None]])
            self.settling.pace.reach(item.file.path, 1, 1.0)
            if problem := why_unusable(stored):
                self.settling.fail(item, NO_FEATURE.format(problem))
                continue
            moments = Moments(item.digest, np.zeros((1, 2)), stored)
            self.settling.finish(item, picture_row(picture, moments), moments)

    def _tell(self, path: Path | None = None) -> None:
        if self.on_progress is not None:
            self.on_progress(self._progress(path))

    def _progress(self, path: Path | None = None) -> Progress:
        counts, pace = self.settling.counts, self.settling.pace
        return Progress(
            total=self._total,
            done=counts.total() - counts["removed"],
            total_bytes=pace.total_bytes,
            done_bytes=pace.done_bytes,
            new=counts["indexed"],
            failed=counts["failed"],
            seconds=time.monotonic() - self._begin,
            decode_seconds=self._decode_seconds,
            encode_seconds=self._encode_seconds,
            path=path,
            eta_seconds=pace.eta_seconds,
        )

    def _report(self, found: FoundFiles, kept: Kept) -> Report:
        progress = self._progress()
        return Report(
            videos=Counts(**self.settling.counts),
            moments=self.store.num_moments(),
            seconds=progress.seconds,
            decode_seconds=progress.decode_seconds,
            encode_seconds=progress.encode_seconds,
            videos_per_second=progress.videos_per_second,
            failures=tuple(self.settling.failures),
            unreadable=(*found.unreadable, *kept.unusable),
            notes=tuple(self.settling.notes),
            missing=self.ledger.missing(),
            skipped=dict(Counter(found.skipped) + Counter(kept.skipped)),
            repeats=self._repeats,
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
