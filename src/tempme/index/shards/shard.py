"""A shard: all that a unit of work gave, as one Parquet file that any tool reads.

One row for each moment (`start_seconds`, `end_seconds`, `feature` in half precision); what is known
of the video, its note, or why it failed, is in the metadata of the schema, under `tempme`. A shard
carries checksums of both, so that one that was cut off or changed is told from one that is whole.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from tempme.index.moments import Moments, Video
from tempme.index.stores.paths import path_to_text, text_to_path

FORMAT = 1
FACTS, FACTS_CHECKSUM = b"tempme", b"tempme_crc32"


class BadShard(Exception):
    """A file that is no shard, not this one, or damaged: the message says which, and no more."""


@dataclass(frozen=True, eq=False)
class VideoShard:
    """The row of a video, as of the file that was read, and its moments; none of a failed one."""

    recipe: str
    row: Video
    moments: Moments | None = None


def pack(shard: VideoShard, *, width: int) -> bytes:
    """A shard as the bytes of its file; equal results are equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {**vars(shard.row), "path": path_to_text(shard.row.path)}
    facts = json.dumps({"format": FORMAT, "recipe": shard.recipe, "row": row}, sort_keys=True)
    sign = f"{crc32(facts.encode()):08x}"
    moments = shard.moments
    spans = np.zeros((0, 2)) if moments is None else moments.spans
    features = np.zeros((0, width), np.float16) if moments is None else moments.features
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), width)
    names = ["start_seconds", "end_seconds", "feature"]
    table = pa.Table.from_arrays([pa.array(spans[:, 0]), pa.array(spans[:, 1]), vectors], names)
    table = table.replace_schema_metadata({FACTS: facts.encode(), FACTS_CHECKSUM: sign.encode()})
    sink = io.BytesIO()
    # Features are noise to a compressor.
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    return sink.getvalue()


def unpack(content: bytes, *, recipe: str, digest: str, width: int) -> VideoShard:
    """The shard of this unit; BadShard for anything else."""
    facts, table = _opened(content)
    try:
        row = Video(**{**facts["row"], "path": text_to_path(facts["row"]["path"])})
        made_by, form = facts["recipe"], facts["format"]
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise BadShard("is no shard of tempme") from error
    if form != FORMAT:
        raise BadShard(f"has format {form!r}, this version reads {FORMAT}")
    if (made_by, row.digest) != (recipe, digest):
        raise BadShard("is the shard of something else under this name")
    moments = _moments(table, digest, width)
    is_whole = moments.checksum == row.checksum if row.status == "ok" else not len(moments.spans)
    if not is_whole or len(moments.spans) != row.num_moments:
        raise BadShard("is damaged: its moments are not those that were written")
    return VideoShard(recipe, row, moments if row.status == "ok" else None)


def _opened(content: bytes) -> tuple[dict[str, Any], Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        meta = table.schema.metadata or {}
        facts, sign = meta[FACTS], meta[FACTS_CHECKSUM]
    except KeyError:
        raise BadShard("is no shard of tempme") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadShard("is cut off or damaged" if content else "is empty") from error
    if f"{crc32(facts):08x}".encode() != sign:
        raise BadShard("is damaged: what it says of its video has changed")
    return json.loads(facts), table


def _moments(table: Any, digest: str, width: int) -> Moments:
    import pyarrow as pa

    kinds = {"start_seconds": pa.float64(), "end_seconds": pa.float64()}
    kinds["feature"] = pa.list_(pa.float16(), width)
    found = {field.name: field.type for field in table.schema}
    is_ours = all(_is_like(found.get(name), kind) for name, kind in kinds.items())
    if not is_ours:
        raise BadShard(f"has no features of {width} numbers")
    flat = table["feature"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    spans = np.stack([table["start_seconds"].to_numpy(), table["end_seconds"].to_numpy()], axis=1)
    if len(flat) != len(spans) * width:
        raise BadShard("is damaged: features are missing in it")
    return Moments(digest, spans, flat.reshape(-1, width).astype(np.float16, copy=False))


def _is_like(found: Any, wanted: Any) -> bool:
    """The same type, whatever the items of a list are called."""
    import pyarrow as pa

    if found is None or not pa.types.is_fixed_size_list(wanted):
        return bool(found == wanted)
    return bool(
        pa.types.is_fixed_size_list(found)
        and (found.value_type, found.list_size) == (wanted.value_type, wanted.list_size)
    )
