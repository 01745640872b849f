"""The store on a Milvus server; Milvus Lite's speaks the same protocol.

Features are kept as 32-bit floats, which hold those in half precision exactly. A moment's key is
its content and number, a video's is drawn from its path: whatever is written twice is one row, so
that writers may repeat each other's work. A server commits no two writes together: who writes a row
looks afterwards whether its moments are there, and who deletes moments whether there is a row now.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadIndex
from tempme.index.lists.opened import remove_lists
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.contents import gallery_of
from tempme.index.stores.damage import Damage, with_lost
from tempme.index.stores.milvus_rows import (
    MOMENT_FIELDS,
    NAMES_PER_REQUEST,
    among,
    contents_of,
    counting,
    moment_entities,
    moment_key,
    parts_of,
    video_entities,
    video_key,
)
from tempme.index.stores.milvus_server import CALL_SECONDS, MOST_ROWS, MilvusServer
from tempme.index.stores.rows import moment_table, schema, videos_from
from tempme.index.stores.snapshot import read_snapshot, write_snapshot
from tempme.index.stores.streaming import pieces_of
from tempme.index.stores.sweeping import ATTEMPTS, moments_in, row_of, swept_too_often

ROWS_PER_REQUEST = 1000
MOST_HITS = 16_384
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
        self._counted: tuple[str, int] | None = None
        self._known: tuple[str, tuple[Video, ...]] | None = None

    def videos(self) -> tuple[Video, ...]:
        """Every row of the video table, ordered by path; "damaged" where it or moments are lost.

        They are read again after every write.
        """
        version = self.version()
        if self._known is None or self._known[0] != version:
            rows = self._rows()
            good = contents_of(rows)
            if sum(good.values()) > self.server.count(self.server.moments):
                rows = with_lost(rows, self._counts(good))
            self._known = (version, tuple(sorted(rows, key=lambda video: video.path)))
        return self._known[1]

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Add the moments, then insert or replace the rows of these paths.

        Moments that another one swept before their rows were there are put again.
        """
        self._upsert(self.server.moments, moment_entities(moments))
        self._upsert(self.server.videos, video_entities(videos))
        if moments:
            self._keep(moments)
        if videos or moments:
            self._change()

    def forget(self, paths: Collection[Path]) -> None:
        """Remove the rows of these paths."""
        keys = sorted({video_key(path) for path in paths})
        self._delete(self.server.videos, keys)
        if keys:
            self._change()

    def sweep(self) -> int:
        """Remove the moments that no ok video names; the number of contents removed.

        Those that another one writes a row of meanwhile are put back: so only what was read goes.
        """
        self._change()  # a writer that died may not have said that it wrote
        good = contents_of(self._rows())
        if self.server.count(self.server.moments) == sum(good.values()):
            return 0
        found = self.server.pages(self.server.moments, ["id", "video"])
        orphans = {row["id"]: row["video"] for row in found if row["video"] not in good}
        taken: set[str] = set()
        for keys in parts_of(list(orphans), MOST_ROWS):
            held = self.server.get(self.server.moments, keys, MOMENT_FIELDS)
            self._delete(self.server.moments, [row["id"] for row in held])
            wanted = contents_of(self._rows({row["video"] for row in held}))
            self._upsert(self.server.moments, [row for row in held if row["video"] in wanted])
            taken |= wanted.keys()
        if orphans:
            self._change()
        return len(set(orphans.values()) - taken)

    def tidy(self) -> None:
        """Have the server index what is new; a copy of all moments here, as lists of many."""
        self.server.settle()
        if self.is_large():
            from tempme.index.lists.upkeep import ListsSource, list_elsewhere

            list_elsewhere(self.folder, ListsSource(self, self.pieces), width=self.features)
            return
        version = self.version()
        write_snapshot(self.folder, self._gallery(None)[0], versions=version)
        remove_lists(self.folder)

    def num_moments(self) -> int:
        """How many moments are stored, orphans included; counted again after every write."""
        version = self.version()
        if self._counted is None or self._counted[0] != version:
            self._counted = (version, self.server.count(self.server.moments))
        return self._counted[1]

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

    def pieces(self) -> Iterator[Gallery]:
        """All moments in pieces, each content whole; the files left out come with them."""
        return pieces_of(self.videos(), self.gallery, width=self.features)

    def nearest(self, feature: NDArray[np.float32], k: int) -> list[str]:
        """The contents of about the k moments nearest to `feature`, best first."""
        k = min(k, MOST_HITS)
        width = max(SEARCH_WIDTH, WIDTH_PER_HIT * k)
        with self.server.calling("search"):
            (found,) = self.server.loaded(
                self.server.moments,
                lambda: self.server.client.search(
                    self.server.moments,
                    data=[feature.astype(np.float32).tolist()],
                    anns_field="feature",
                    limit=k,
                    output_fields=["video"],
                    search_params={"metric_type": "IP", "params": {"ef": width}},
                    consistency_level="Strong",
                    timeout=CALL_SECONDS,
                ),
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
            found = list(self.server.pages(self.server.videos, ["row"]))
        else:
            wheres = map(among, parts_of(sorted(only), NAMES_PER_REQUEST))
            parts = [self.server.query(self.server.videos, where, ["row"]) for where in wheres]
            found = [row for part in parts for row in part]
        rows = [json.loads(row["row"]) for row in found]
        return videos_from(pa.Table.from_pylist(rows, schema=schema("videos", width=0)))

    def _gallery(self, only: Collection[str] | None) -> tuple[Gallery, list[Video]]:
        """The moments of contents, and the rows of those that are damaged or lost.

        Moments do not change, and rows say which of them count, so that there is no need to wait
        until a server has taken in all writes (a fifth of a second, for each request); where one
        seems to be missing or damaged, it is waited for.
        """
        rows = self._rows(only)
        for is_newest in (False, True):
            found = gallery_of(rows, partial(self._moments, newest=is_newest), width=self.features)
            if len(found[1]) == sum(row.status == "damaged" for row in rows):
                break
        return found

    def _moments(self, good: Sequence[Video], *, newest: bool) -> Any:
        """The table of the moments of these videos."""
        return self._table(contents_of(good), newest=newest)

    def _table(self, counts: Mapping[str, int], *, newest: bool) -> Any:
        """The table of so many moments of each of these contents."""
        import pyarrow as pa

        parts = [moment_table([], np.zeros((0, 2)), np.zeros((0, self.features), np.float16))]
        keys = [moment_key(name, n) for name, count in counts.items() for n in range(count)]
        # By their keys: what a server looks at does not grow with what else it has.
        for part in parts_of(keys, MOST_ROWS):
            rows = self.server.get(self.server.moments, part, MOMENT_FIELDS, newest=newest)
            if rows:
                spans = np.array([(row["start_seconds"], row["end_seconds"]) for row in rows])
                features = np.array([row["feature"] for row in rows], dtype=np.float32)
                owners = [row["video"] for row in rows]
                parts.append(moment_table(owners, spans, features.astype(np.float16)))
        return pa.concat_tables(parts)

    def _keep(self, moments: Sequence[Moments]) -> None:
        """Put moments that have rows again until all are there, and have rows name what is there.

        Of one content, those of two machines can differ in the last bit: the last ones count.
        """
        ours = {each.digest: each for each in moments}
        counts = {name: len(each.spans) for name, each in ours.items()}
        for _ in range(ATTEMPTS):
            there = moments_in(self._table(counts, newest=True), counts, width=self.features)
            found = {name: len(each.spans) for name, each in there.items()}
            lost = [name for name, count in counts.items() if found.get(name, 0) < count]
            if not lost:
                self._name(there)
                return
            self._upsert(self.server.moments, moment_entities([ours[name] for name in lost]))
        raise BadIndex(swept_too_often(self.server.address.shown))

    def _name(self, stored: Mapping[str, Moments]) -> None:
        """Have the rows of these contents name the moments that are stored."""
        rows = [row for row in self._rows(stored) if row.status == "ok"]
        named = [row_of(row, stored.get(row.digest)) for row in rows]
        changed = [new for new, row in zip(named, rows, strict=True) if new != row]
        self._upsert(self.server.videos, video_entities(changed))

    def _counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for where in counting(counts):
            for row in self.server.query(self.server.moments, where, ["video"]):
                found[row["video"]] = found.get(row["video"], 0) + 1
        return found

    def _upsert(self, collection: str, entities: Iterable[dict[str, Any]]) -> None:
        # A server keeps both of two rows with one key that come in one request.
        once = {entity["id"]: entity for entity in entities}
        for part in parts_of(list(once.values()), ROWS_PER_REQUEST):
            with self.server.calling("write to"):
                self.server.client.upsert(collection, part, timeout=CALL_SECONDS)

    def _delete(self, collection: str, keys: Sequence[str]) -> None:
        for part in parts_of(keys, MOST_ROWS):
            with self.server.calling("write to"):
                self.server.client.delete(collection, ids=part, timeout=CALL_SECONDS)

    def _delete_moments(self, digests: Sequence[str]) -> None:
        for where in map(among, parts_of(digests, NAMES_PER_REQUEST)):
            with self.server.calling("write to"):
                self.server.client.delete(self.server.moments, filter=where, timeout=CALL_SECONDS)

    def _change(self) -> None:
        """Change the word of the version."""
        about = self.server.about()
        if about is not None:
            self.server.say(about)
