"""A run over files: what of them is to do, what became of them, and where they lie.

Where the work is done (`tempme.index.shards.local`, `tempme.index.shards.on_ray`) makes no
difference to what is done or written.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from tempme.index.building.kinds import keep
from tempme.index.building.ledger import Ledger
from tempme.index.building.order import RunOrder
from tempme.index.building.pruning import Root, check_roots, rows_to_prune, was_moved
from tempme.index.building.report import Counts, Progress, Report
from tempme.index.building.scan import File, Unseen, find_files
from tempme.index.moments import Video
from tempme.index.shards.bucket import FoundObjects, find_objects, gone_objects
from tempme.index.shards.making import Outcome
from tempme.index.shards.parts import drop_old_parts
from tempme.index.shards.shard import VideoShard
from tempme.index.shards.shards import Shards, name_of, read_many
from tempme.index.shards.sightings import Sighting, latest
from tempme.index.stores.places import Place
from tempme.uris import is_remote

# Sightings that a killed run loses cost the next one a look at the files, and nothing more.
SEEN_EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Todo:
    """The files to read."""

    videos: tuple[File, ...]
    pictures: tuple[File, ...]


Work: TypeAlias = Callable[[Todo], Generator[Outcome]]
"""Reads files and makes shards of them; it says what became of each."""


class Run:
    """One run over the files of an order."""

    def __init__(
        self,
        shards: Shards,
        order: RunOrder,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.shards, self.order, self.on_progress = shards, order, on_progress
        seen, self.damaged = shards.sightings()
        self._seen = latest(seen)
        self._ledger = Ledger(_row(one) for one in self._seen.values() if not one.is_gone)
        self._roots: tuple[Root, ...] = ()
        self._gone: set[Path] = set()
        self._counts: Counter[str] = Counter()
        self._failures: list[Video] = []
        self._notes: list[Video] = []
        self._new_digests: set[str] = set()
        self._waiting: list[Sighting] = []
        self._written = self._begin = time.monotonic()
        self._total = self._total_bytes = self._done_bytes = self._windows = 0
        self._decode_seconds = self._encode_seconds = 0.0

    def run(self, work: Work) -> Report:
        """Do the order; whatever interrupts it, every shard that was finished stays."""
        drop_old_parts(self.shards.place)
        given = [path for path in self.order.paths if not is_remote(path)]
        found = find_files([path for path in given if path.exists()], exclude=self.order.exclude)
        kept = keep(found.files, takes_picture=self._takes_picture)
        far = self._find_objects()
        files = (*kept.videos, *far.videos, *kept.pictures, *far.pictures)
        paths = [file.path for file in files]
        self._roots = tuple(Root.of(path, self._ledger, paths) for path in given)
        check_roots(self._roots, prune=self.order.prune, force=self.order.force)
        self._total, self._total_bytes = len(files), sum(file.size_bytes for file in files)
        done = self._settle_known(files)
        videos, pictures = (
            tuple(file for file in (*here, *there) if file.path not in done)
            for here, there in ((kept.videos, far.videos), (kept.pictures, far.pictures))
        )
        try:
            if videos or pictures:
                self._work(work(Todo(videos, pictures)))
            self._let_go()
        finally:
            self.shards.see(self._waiting)
        skipped = Counter(found.skipped) + Counter(kept.skipped) + Counter(far.skipped)
        unreadable = (*found.unreadable, *kept.unusable, *far.unreadable)
        return self._report(unreadable, dict(skipped))

    def _find_objects(self) -> FoundObjects:
        """What there is in buckets, and of what is known there, what is to go."""
        roots = [Place.of(path) for path in self.order.paths if is_remote(path)]
        found = find_objects(
            roots,
            exclude=self.order.exclude,
            takes_picture=self._takes_picture,
            may_be_gone=lambda root: self.order.prune and self._ledger.below(root) > 0,
        )
        if self.order.prune:
            known = [path for path, one in self._seen.items() if not one.is_gone]
            self._gone = gone_objects(known, roots, found.listed, force=self.order.force)
        return found

    def _takes_picture(self, file: File) -> bool:
        return self.order.pictures or self._ledger.row(file.path) is not None

    def _settle_known(self, files: Sequence[File]) -> set[Path]:
        """The paths of files that are as they were seen, and whose shards are whole."""
        same = [file for file in files if self._is_as_seen(file)]
        owners: dict[str, list[File]] = {}
        for file in same:
            owners.setdefault(self._seen[file.path].digest, []).append(file)
        done: set[Path] = set()
        for digest, shard in read_many(self.shards, sorted(owners)):
            if not isinstance(shard, VideoShard):
                continue
            if shard.row.status != "ok" and self.order.retry_failed:
                self.shards.place.remove([name_of(digest)])
                continue
            for file in owners[digest]:
                done.add(file.path)
                self._count(file, "unchanged", shard.row.reason, is_ok=shard.row.status == "ok")
        self._tell(None)
        return done

    def _is_as_seen(self, file: File) -> bool:
        known = self._seen.get(file.path)
        return known is not None and known.is_of(file) and not known.reason

    def _work(self, answers: Generator[Outcome]) -> None:
        try:
            for made in answers:
                self._take(made)
        finally:
            answers.close()

    def _take(self, made: Outcome) -> None:
        self._decode_seconds += made.decode_seconds
        self._encode_seconds += made.encode_seconds
        self._windows += made.windows
        seen = made.sighting
        if seen is None:
            self._tell(None)
            return
        self._waiting.append(seen)
        self._new_digests.add(seen.digest)
        known = self._seen.get(seen.path)
        is_same = made.kind == "known" and known is not None and known.digest == seen.digest
        kind = "unchanged" if is_same else "indexed"
        self._count(seen.file, kind, made.note, is_ok=made.kind != "failed")
        self._tell(seen.path)
        if time.monotonic() - self._written >= SEEN_EVERY_SECONDS:
            self._write()

    def _let_go(self) -> None:
        """Note what is gone: what was moved, and what a person wants removed."""
        gone = self._gone
        if self.order.prune:
            gone |= set(rows_to_prune(self._ledger, self._roots, force=self.order.force))
            self._counts["removed"] += len(gone)
        for digest in filter(None, self._new_digests):
            for path in self._ledger.others(digest, Path()):
                if path not in gone and was_moved(path, self._roots):
                    gone.add(path)
                    self._counts["renamed"] += 1
                    self._counts["indexed"] -= 1
        now = time.time_ns()
        self._waiting += [replace(self._seen[path], is_gone=True, seen_ns=now) for path in gone]

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.shards.see(waiting)
        self._written = time.monotonic()

    def _count(self, file: File, kind: str, note: str, *, is_ok: bool) -> None:
        self._done_bytes += file.size_bytes
        self._counts[kind if is_ok else "failed"] += 1
        if note:
            status = "ok" if is_ok else "failed"
            row = Video(file.path, "", file.size_bytes, file.mtime_ns, status=status, reason=note)  # type: ignore[arg-type]
            (self._notes if is_ok else self._failures).append(row)

    def _tell(self, path: Path | None) -> None:
        self.on_progress(self._progress(path))

    def _progress(self, path: Path | None = None) -> Progress:
        counts, seconds = self._counts, time.monotonic() - self._begin
        left = self._total_bytes - self._done_bytes
        read = counts["indexed"]
        return Progress(
            total=self._total,
            done=counts.total() - counts["removed"] - counts["renamed"],
            total_bytes=self._total_bytes,
            done_bytes=self._done_bytes,
            new=read,
            failed=counts["failed"],
            seconds=seconds,
            decode_seconds=self._decode_seconds,
            encode_seconds=self._encode_seconds,
            path=path,
            eta_seconds=seconds * left / self._done_bytes if read and self._done_bytes else None,
        )

    def _report(self, unreadable: Sequence[Unseen], skipped: dict[str, int]) -> Report:
        progress = self._progress()
        return Report(
            videos=Counts(**self._counts),
            moments=self._windows,
            seconds=progress.seconds,
            decode_seconds=progress.decode_seconds,
            encode_seconds=progress.encode_seconds,
            videos_per_second=progress.videos_per_second,
            failures=tuple(self._failures),
            unreadable=tuple(unreadable),
            notes=tuple(self._notes),
            missing=(),
            skipped=skipped,
        )


def _row(seen: Sighting) -> Video:
    return Video(seen.path, seen.digest, seen.size_bytes, seen.mtime_ns)
