"""Which content lies at which path: what a run saw, in files that are only ever added to.

A shard is of a content, and a content may lie at many paths, move, or be replaced. Each batch of
sightings is one Parquet file named after its own content; of several sightings of a path the
latest counts. So runs may write at once, and one that is repeated changes nothing.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tempme.index.building.scan import File
from tempme.index.shards.shard import BadShard
from tempme.index.stores.paths import path_to_text, text_to_path


@dataclass(frozen=True)
class Sighting:
    """A file as it was seen at a time.

    `digest` is empty where its content could not be read, and `reason` says why; `is_gone`: the
    path was known and has no file any more.
    """

    path: Path
    digest: str
    size_bytes: int
    mtime_ns: int
    seen_ns: int
    reason: str = ""
    is_gone: bool = False

    @property
    def file(self) -> File:
        """The file, as a walk finds it."""
        return File(self.path, self.size_bytes, self.mtime_ns)

    def is_of(self, file: File) -> bool:
        """Whether the file is as it was when it was seen."""
        known = (self.path, self.size_bytes, self.mtime_ns)
        return known == (file.path, file.size_bytes, file.mtime_ns) and not self.is_gone


def pack_sightings(sightings: Sequence[Sighting]) -> tuple[str, bytes]:
    """The name of a batch, and the bytes of its file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{**asdict(one), "path": path_to_text(one.path)} for one in sightings]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), sink, compression="zstd")
    content = sink.getvalue()
    newest = max(one.seen_ns for one in sightings)
    return f"{newest:020d}-{hashlib.sha256(content).hexdigest()[:12]}.parquet", content


def unpack_sightings(content: bytes) -> list[Sighting]:
    """The sightings of a batch; BadShard where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(content), schema=_schema()).to_pylist()
        return [Sighting(**{**row, "path": text_to_path(row["path"])}) for row in rows]
    except (pa.ArrowException, OSError, ValueError, TypeError, AttributeError) as error:
        raise BadShard("is cut off or damaged" if content else "is empty") from error


def latest(sightings: Iterable[Sighting]) -> dict[Path, Sighting]:
    """The last sighting of every path; of two at the same time the one of the larger digest."""
    found: dict[Path, Sighting] = {}
    for one in sightings:
        before = found.get(one.path)
        if before is None or (one.seen_ns, one.digest) > (before.seen_ns, before.digest):
            found[one.path] = one
    return found


def _schema() -> Any:
    import pyarrow as pa

    text, number = pa.utf8(), pa.int64()
    kinds = {"path": text, "digest": text, "size_bytes": number, "mtime_ns": number}
    kinds |= {"seen_ns": number, "reason": text, "is_gone": pa.bool_()}
    return pa.schema(list(kinds.items()))
