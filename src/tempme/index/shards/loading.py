"""Shards -> an index in any store, which is derived from them and can be made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tempme.index.building.ledger import failed_row
from tempme.index.moments import Moments, Video
from tempme.index.shards.shard import VideoShard
from tempme.index.shards.shards import Damaged, Shards, read_many
from tempme.index.shards.sightings import Sighting, latest
from tempme.index.stores.store import Store
from tempme.uris import uri_of

CONTENTS_PER_WRITE = 500


@dataclass(frozen=True)
class Loaded:
    """What came of it: paths by what became of them, and what was passed over.

    `unmade` are paths that were seen and whose content has no whole shard yet; the next run of
    `tempme index --shards` makes them. `damaged` are files among the shards that are none.
    """

    written: int
    unchanged: int
    removed: int
    moments: int
    unmade: tuple[Path, ...] = ()
    damaged: tuple[Damaged, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON."""
        return {
            **vars(self),
            "unmade": [uri_of(path) for path in self.unmade],
            "damaged": [asdict(one) for one in self.damaged],
        }


def load(
    shards: Shards, store: Store, *, on_progress: Callable[[int, int], None] = lambda *_: None
) -> Loaded:
    """Bring a store in line with shards: their paths are written, and those known to be gone go.

    Rows of paths that the shards know nothing of stay. Interrupted, it goes on where it was.
    """
    store.sweep()
    seen, damaged = shards.sightings()
    now = latest(seen)
    rows = {row.path: row for row in store.videos() if row.status != "damaged"}
    gone = [path for path, one in now.items() if one.is_gone and path in rows]
    here = [one for one in now.values() if not one.is_gone]
    wanted = [one for one in here if not _is_there(rows.get(one.path), one)]
    loading = _Loading(shards, store, {row.digest for row in rows.values() if row.status == "ok"})
    done = len(here) - len(wanted)
    on_progress(done, len(here))
    for batch in _by_digest(wanted):
        done += loading.write(batch)
        on_progress(done, len(here))
    store.forget(gone)
    store.sweep()
    store.tidy()
    return Loaded(
        written=loading.written,
        unchanged=len(here) - len(wanted),
        removed=len(gone),
        moments=store.num_moments(),
        unmade=tuple(sorted(loading.unmade)),
        damaged=(*damaged, *loading.damaged, *shards.strangers()),
    )


class _Loading:
    """Contents on their way, with what `known` ones the store has already."""

    def __init__(self, shards: Shards, store: Store, known: set[str]) -> None:
        self.written = 0
        self.unmade: list[Path] = []
        self.damaged: list[Damaged] = []
        self._shards, self._store, self._known = shards, store, known

    def write(self, owners: dict[str, list[Sighting]]) -> int:
        """Write the rows of these contents, and their moments where the store lacks them."""
        videos: list[Video] = []
        moments: list[Moments] = []
        for one in owners.pop("", []):
            videos.append(failed_row(one.file, "", one.reason))
        for digest, shard in read_many(self._shards, list(owners)):
            if not isinstance(shard, VideoShard):
                self._pass_over(shard, owners[digest])
                continue
            videos += [_row(shard.row, one) for one in owners[digest]]
            is_new = digest not in self._known
            if shard.moments is not None and is_new:
                moments.append(shard.moments)
                self._known.add(digest)
        self._store.put(videos, moments)
        self.written += len(videos)
        return len(videos)

    def _pass_over(self, damaged: Damaged | None, owners: Sequence[Sighting]) -> None:
        if damaged is not None:
            self.damaged.append(damaged)
        for one in owners:
            self.unmade.append(one.path)


def _by_digest(wanted: Sequence[Sighting]) -> Iterator[dict[str, list[Sighting]]]:
    """The sightings of each content, so many contents at a time."""
    owners: dict[str, list[Sighting]] = {}
    for one in wanted:
        owners.setdefault(one.digest, []).append(one)
    digests = sorted(owners)
    for start in range(0, len(digests), CONTENTS_PER_WRITE):
        yield {digest: owners[digest] for digest in digests[start : start + CONTENTS_PER_WRITE]}


def _is_there(row: Video | None, seen: Sighting) -> bool:
    """Whether the store has this row already; of a failed one the shard is asked again."""
    if row is None or row.status != "ok":
        return False
    return (row.digest, row.size_bytes, row.mtime_ns) == (
        seen.digest,
        seen.size_bytes,
        seen.mtime_ns,
    )


def _row(row: Video, seen: Sighting) -> Video:
    return replace(row, path=seen.path, size_bytes=seen.size_bytes, mtime_ns=seen.mtime_ns)
