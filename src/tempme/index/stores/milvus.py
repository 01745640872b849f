"""The store on a Milvus server; Milvus Lite's speaks the same protocol.

Features are kept as 32-bit floats, which hold those in half precision exactly. A moment's key is
its content and number, a video's is drawn from its path: whatever is written twice is one row, so
that writers may repeat each other's work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.contents import gallery_of
from tempme.index.stores.damage import Damage, with_lost
from tempme.index.stores.milvus_server import BUCKETS, CALL_SECONDS, MilvusServer
from tempme.index.stores.paths import path_to_text
from tempme.index.stores.rows import (
    moment_table,
    schema,
    video_rows,
    videos_from,
)
from tempme.index.stores.snapshot import read_snapshot, write_snapshot

ROWS_PER_REQUEST = 1000
# A server answers at most 16,384 rows, and 64 MB, at a time.
MOST_ROWS, MOST_HITS = 4000, 16_384
NAMES_PER_REQUEST = 500
# How widely a graph is searched: Milvus's own default finds too little, see docs/scale.md.
SEARCH_WIDTH, WIDTH_PER_HIT = 512, 2


class MilvusStore:
    """The collections of an index on `server`; `features` is the width D.

    `index_from` is the number of moments from which searches ask the server. `folder` is of this
    machine, for a copy of all moments of a smaller one.
    """

    def __init__(
        self, server: MilvusServer, folder: Path, *, features: int, index_from: int
    ) -> None:
        self.server, self.folder = server, folder
        self.features, self.index_from = features, index_from

    def videos(self) -> tuple[Video, ...]:
        """Every row of the video table, ordered by path; "damaged" where it or moments are lost."""
        rows = self._rows()
        good = _contents(rows)
        if sum(good.values()) > self.num_moments():
            rows = with_lost(rows, self._counts(good))
        return tuple(sorted(rows, key=lambda video: video.path))

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Add the moments, then insert or replace the rows of these paths."""
        self._upsert(self.server.moments, _moment_entities(moments))
        self._upsert(self.server.videos, _video_entities(videos))
        if videos or moments:
            self._change()

    def forget(self, paths: Collection[Path]) -> None:
        """Remove the rows of these paths."""
        keys = sorted({_key(path) for path in paths})
        for part in _parts(keys, NAMES_PER_REQUEST):
            with self.server.calling("write to"):
                self.server.client.delete(self.server.videos, ids=part, timeout=CALL_SECONDS)
        if keys:
            self._change()

    def sweep(self) -> int:
        """Remove the moments that no ok video names; the number of contents removed."""
        self._change()  # a writer that died may not have said that it wrote
        good = _contents(self._rows())
        if self.num_moments() == sum(good.values()):
            return 0
        pages = self._pages(self.server.moments, ["video"])
        orphans = sorted({row["video"] for row in pages} - good.keys())
        self._delete_moments(orphans)
        return len(orphans)

    def tidy(self) -> None:
        """Keep a copy of all moments on this machine, if they are few; the server tidies itself."""
        if not self.is_large():
            version = self.version()
            write_snapshot(self.folder, self._gallery(None)[0], versions=version)

    def num_moments(self) -> int:
        """How many moments are stored, orphans included."""
        return self.server.count(self.server.moments)

    def version(self) -> str:
        """A word that changes with every write."""
        about = self.server.about()
        return "none" if about is None else about.word

    def is_large(self) -> bool:
        """Whether a search asks the server, as there are too many moments to hold them here."""
        return self.num_moments() >= self.index_from

    def gallery(self, only: Collection[str] | None = None) -> Gallery:
        """The moments of all contents, or of `only` these, in memory for an exact scan."""
        if only is not None:
            return self._gallery(only)[0]
        version = self.version()
        copy = read_snapshot(
            self.folder, versions=version, width=self.features, most_moments=self.index_from
        )
        if copy is not None:
            return copy
        gallery = self._gallery(None)[0]
        if len(gallery) < self.index_from:
            write_snapshot(self.folder, gallery, versions=version)
        return gallery

    def nearest(self, feature: NDArray[np.float32], k: int) -> list[str]:
        """The contents of about the k moments nearest to `feature`, best first."""
        k = min(k, MOST_HITS)
        width = max(SEARCH_WIDTH, WIDTH_PER_HIT * k)
        with self.server.calling("search"):
            (found,) = self.server.client.search(
                self.server.moments,
                data=[feature.astype(np.float32).tolist()],
                anns_field="feature",
                limit=k,
                output_fields=["video"],
                search_params={"metric_type": "IP", "params": {"ef": width}},
                consistency_level="Strong",
                timeout=CALL_SECONDS,
            )
        return list(dict.fromkeys(hit["entity"]["video"] for hit in found))

    def upgrade(self) -> None:
        """Nothing: no older version wrote to a server."""

    def check(self) -> Damage:
        """What is damaged, after a look at every row and every moment."""
        damaged = self._gallery(None)[1]
        return Damage(tuple(sorted(damaged, key=lambda row: row.path)))

    def repair(self, damage: Damage) -> None:
        """Take out what `check` found, so that the next run embeds it again."""
        self._delete_moments(sorted({row.digest for row in damage.videos} - {""}))
        self._change()

    def _rows(self, only: Collection[str] | None = None) -> list[Video]:
        """The rows of all videos, or of those with `only` these contents."""
        import pyarrow as pa

        if only is None:
            found = list(self._pages(self.server.videos, ["row"]))
        else:
            wheres = map(_among, _parts(sorted(only), NAMES_PER_REQUEST))
            parts = [self.server.query(self.server.videos, where, ["row"]) for where in wheres]
            found = [row for part in parts for row in part]
        rows = [json.loads(row["row"]) for row in found]
        return videos_from(pa.Table.from_pylist(rows, schema=schema("videos", width=0)))

    def _gallery(self, only: Collection[str] | None) -> tuple[Gallery, list[Video]]:
        """The moments of contents, and the rows of those that are damaged or lost."""
        return gallery_of(
            self._rows(only), lambda good: self._moments(_contents(good)), width=self.features
        )

    def _moments(self, counts: Mapping[str, int]) -> Any:
        """The moments of contents, of which each has so many, as the table of them."""
        import pyarrow as pa

        parts = [moment_table([], np.zeros((0, 2)), np.zeros((0, self.features), np.float16))]
        for where in _contents_expressions(counts):
            fields = ["video", "start_seconds", "end_seconds", "feature"]
            rows = self.server.query(self.server.moments, where, fields)
            if rows:
                spans = np.array([(row["start_seconds"], row["end_seconds"]) for row in rows])
                features = np.array([row["feature"] for row in rows], dtype=np.float32)
                owners = [row["video"] for row in rows]
                parts.append(moment_table(owners, spans, features.astype(np.float16)))
        return pa.concat_tables(parts)

    def _counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for where in _contents_expressions(counts):
            for row in self.server.query(self.server.moments, where, ["video"]):
                found[row["video"]] = found.get(row["video"], 0) + 1
        return found

    def _pages(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """All rows of a collection, by ranges of the number that is drawn from their key."""
        step = max(1, BUCKETS // max(1, -(-self.server.count(collection) // MOST_ROWS)))
        for start in range(0, BUCKETS, step):
            where = f"bucket >= {start} and bucket < {start + step}"
            yield from self.server.query(collection, where, fields)

    def _upsert(self, collection: str, entities: Iterator[dict[str, Any]]) -> None:
        for part in _parts(list(entities), ROWS_PER_REQUEST):
            with self.server.calling("write to"):
                self.server.client.upsert(collection, part, timeout=CALL_SECONDS)

    def _delete_moments(self, digests: Sequence[str]) -> None:
        for part in _parts(digests, NAMES_PER_REQUEST):
            with self.server.calling("write to"):
                self.server.client.delete(
                    self.server.moments, filter=_among(part), timeout=CALL_SECONDS
                )

    def _change(self) -> None:
        """Change the word of the version."""
        about = self.server.about()
        if about is not None:
            self.server.say(about)


def _moment_entities(moments: Sequence[Moments]) -> Iterator[dict[str, Any]]:
    for each in moments:
        for number, (span, feature) in enumerate(zip(each.spans, each.features, strict=True)):
            yield {
                "id": f"{each.digest}-{number:07d}",
                "bucket": _bucket(each.digest),
                "video": each.digest,
                "start_seconds": float(span[0]),
                "end_seconds": float(span[1]),
                "feature": feature.astype(np.float32),
            }


def _video_entities(videos: Sequence[Video]) -> Iterator[dict[str, Any]]:
    for row, video in zip(video_rows(videos).to_pylist(), videos, strict=True):
        key = _key(video.path)
        told = json.dumps(row, sort_keys=True)
        owner = video.digest
        yield {
            "id": key,
            "bucket": _bucket(key),
            "video": owner,
            "row": told,
            "feature": [0.0, 1.0],
        }


def _key(path: Path) -> str:
    return hashlib.sha256(path_to_text(path).encode()).hexdigest()


def _bucket(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % BUCKETS


def _contents(rows: Sequence[Video]) -> dict[str, int]:
    """The contents of the ok rows, and how many moments each has."""
    return {row.digest: row.num_moments for row in rows if row.status == "ok"}


def _contents_expressions(counts: Mapping[str, int]) -> Iterator[str]:
    """Expressions for all contents, none of which more rows fulfil than a server answers.

    A film with more moments than that is asked for in ranges of its keys.
    """
    names: list[str] = []
    rows = 0
    for digest, count in sorted(counts.items()):
        if count > MOST_ROWS:
            for start in range(0, count, MOST_ROWS):
                first, stop = f"{digest}-{start:07d}", f"{digest}-{start + MOST_ROWS:07d}"
                yield f'id >= "{first}" and id < "{stop}"'
            continue
        if names and (rows + count > MOST_ROWS or len(names) == NAMES_PER_REQUEST):
            yield _among(names)
            names, rows = [], 0
        names.append(digest)
        rows += count
    if names:
        yield _among(names)


def _among(digests: Sequence[str]) -> str:
    return f"video in {json.dumps(list(digests))}"


def _parts(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
