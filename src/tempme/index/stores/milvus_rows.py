"""The rows of the two collections on a Milvus server, their keys, and expressions for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempme.index.moments import Moments, Video
from tempme.index.stores.milvus_server import BUCKETS, MOST_ROWS
from tempme.index.stores.paths import path_to_text
from tempme.index.stores.rows import video_rows

NAMES_PER_REQUEST = 500
MOMENT_FIELDS = ["id", "bucket", "video", "start_seconds", "end_seconds", "feature"]


def moment_entities(moments: Sequence[Moments]) -> Iterator[dict[str, Any]]:
    """The rows of moments."""
    for each in moments:
        for number, (span, feature) in enumerate(zip(each.spans, each.features, strict=True)):
            yield {
                "id": moment_key(each.digest, number),
                "bucket": _bucket(each.digest),
                "video": each.digest,
                "start_seconds": float(span[0]),
                "end_seconds": float(span[1]),
                "feature": feature.astype(np.float32),
            }


def video_entities(videos: Sequence[Video]) -> Iterator[dict[str, Any]]:
    """The rows of videos: each as the text of a JSON object."""
    for row, video in zip(video_rows(videos).to_pylist(), videos, strict=True):
        key = video_key(video.path)
        told = {"video": video.digest, "row": json.dumps(row, sort_keys=True)}
        yield {"id": key, "bucket": _bucket(key), **told, "feature": [0.0, 1.0]}


def moment_key(digest: str, number: int) -> str:
    """The key of a moment; those of one content are in the order of its moments."""
    return f"{digest}-{number:07d}"


def video_key(path: Path) -> str:
    """The key of a video."""
    return hashlib.sha256(path_to_text(path).encode()).hexdigest()


def _bucket(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) % BUCKETS


def contents_of(rows: Sequence[Video]) -> dict[str, int]:
    """The contents of the ok rows, and how many moments each has."""
    return {row.digest: row.num_moments for row in rows if row.status == "ok"}


def counting(counts: Mapping[str, int]) -> Iterator[str]:
    """Expressions for all contents, none of which more rows fulfil than a server answers.

    A film with more moments than that is asked for in ranges of its keys.
    """
    names: list[str] = []
    rows = 0
    for digest, count in sorted(counts.items()):
        if count > MOST_ROWS:
            for start in range(0, count, MOST_ROWS):
                first, stop = moment_key(digest, start), moment_key(digest, start + MOST_ROWS)
                yield f'id >= "{first}" and id < "{stop}"'
            continue
        if names and (rows + count > MOST_ROWS or len(names) == NAMES_PER_REQUEST):
            yield among(names)
            names, rows = [], 0
        names.append(digest)
        rows += count
    if names:
        yield among(names)


def among(digests: Sequence[str]) -> str:
    """An expression for the rows of these contents."""
    return f"video in {json.dumps(list(digests))}"


def parts_of(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """The values, so many at a time."""
    for start in range(0, len(values), size):
        yield list(values[start : start + size])
