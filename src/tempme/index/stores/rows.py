"""Rows of the two tables, as Arrow holds them, and the values they stand for.

PyArrow is imported at the first use, as LanceDB is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.snapshot import path_to_text, text_to_path


def schema(name: str, *, width: int) -> Any:
    """The columns of the table `name`."""
    return _video_schema() if name == "videos" else _moment_schema(width)


def _video_schema() -> Any:
    import pyarrow as pa

    kinds = {"str": pa.utf8(), "Path": pa.utf8(), "int": pa.int64(), "float": pa.float64()}
    return pa.schema([(f.name, kinds.get(str(f.type), pa.utf8())) for f in fields(Video)])


def _moment_schema(width: int) -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("video", pa.utf8()),
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("feature", pa.list_(pa.float16(), width)),
        ]
    )


def video_rows(videos: Sequence[Video]) -> Any:
    """The rows of the table of videos."""
    import pyarrow as pa

    rows = [{**vars(video), "path": path_to_text(video.path)} for video in videos]
    return pa.Table.from_pylist(rows, schema=_video_schema())


def video_from(row: dict[str, Any]) -> Video:
    """The video that `video_rows` wrote."""
    return Video(**{**row, "path": text_to_path(row["path"])})


def moment_rows(moments: Sequence[Moments], *, width: int) -> Any:
    """The rows of the table of moments, one for every window."""
    import pyarrow as pa

    spans = np.concatenate([each.spans for each in moments])
    features = np.concatenate([each.features for each in moments]).astype(np.float16)
    owners = [each.digest for each in moments for _ in each.spans]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), width)
    columns = [pa.array(owners), pa.array(spans[:, 0]), pa.array(spans[:, 1]), vectors]
    return pa.Table.from_arrays(columns, schema=_moment_schema(width))


def empty_gallery(width: int) -> Gallery:
    """The gallery of no moments."""
    return Gallery(
        contents=(),
        paths=(),
        owner=np.zeros(0, dtype=np.int64),
        spans=np.zeros((0, 2)),
        features=np.zeros((0, width), dtype=np.float16),
    )


def gallery_from(rows: Any, paths: dict[str, list[Path]], *, width: int) -> Gallery:
    """The moments of the contents in `paths`, grouped by content and in order of time."""
    contents = sorted(paths)
    place = {digest: i for i, digest in enumerate(contents)}
    column = rows["video"].combine_chunks().dictionary_encode()
    codes = np.array([place.get(name, -1) for name in column.dictionary.to_pylist()], np.int64)
    owner = codes[column.indices.to_numpy()]
    start, end = rows["start_seconds"].to_numpy(), rows["end_seconds"].to_numpy()
    order = np.lexsort((start, owner))
    order = order[owner[order] >= 0]
    flat = rows["feature"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    kept = np.unique(owner[order])
    return Gallery(
        contents=tuple(contents[i] for i in kept),
        paths=tuple(tuple(sorted(paths[contents[i]])) for i in kept),
        owner=np.searchsorted(kept, owner[order]),
        spans=np.stack([start, end], axis=1)[order],
        features=flat.reshape(-1, width)[order].astype(np.float16, copy=False),
    )
