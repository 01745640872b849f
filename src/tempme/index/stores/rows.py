"""Rows of the two tables, as Arrow holds them, and the values they stand for.

PyArrow is imported at the first use, as LanceDB is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.paths import path_to_text, text_to_path

# The column of a row's own checksum; an index of format 1 has none.
ROW_CHECKSUM = "row_checksum"
DAMAGED_ROW = "its row in the index is damaged"
_NO_ROW = Video(Path("?"), "", 0, 0, status="damaged", reason=DAMAGED_ROW)


def schema(name: str, *, width: int) -> Any:
    """The columns of the table `name`."""
    return _video_schema() if name == "videos" else _moment_schema(width)


def _video_schema() -> Any:
    import pyarrow as pa

    kinds = {"str": pa.utf8(), "Path": pa.utf8(), "int": pa.int64(), "float": pa.float64()}
    columns = [(f.name, kinds.get(str(f.type), pa.utf8())) for f in fields(Video)]
    return pa.schema([*columns, (ROW_CHECKSUM, pa.utf8())])


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
    signed = [{**row, ROW_CHECKSUM: _checksum(row)} for row in rows]
    return pa.Table.from_pylist(signed, schema=_video_schema())


def videos_from(table: Any) -> list[Video]:
    """The videos that `video_rows` wrote; what is left of a row that has changed is "damaged"."""
    return [_video(row) for row in _readable(table).to_pylist()]


class RowsRead:
    """Rows that were read before: of 50,000 looking them up takes a tenth of reading them again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Video] = {}

    def videos(self, table: Any) -> list[Video]:
        """The same as `videos_from`; a path with the checksum that its row had is the same row."""
        import pyarrow as pa

        table = _readable(table)
        if ROW_CHECKSUM not in table.column_names:
            return videos_from(table)
        keys = list(zip(table["path"].to_pylist(), table[ROW_CHECKSUM].to_pylist(), strict=True))
        known = self._known
        new = [place for place, key in enumerate(keys) if key not in known]
        fresh = dict(
            zip(new, map(_video, table.take(pa.array(new, pa.int64())).to_pylist()), strict=True)
        )
        rows = [fresh.get(place) or known[key] for place, key in enumerate(keys)]
        # In one step, as other threads read it; a damaged row has the key of the sound one.
        self._known = {
            key: row for key, row in zip(keys, rows, strict=True) if row.status != "damaged"
        }
        return rows


def _video(row: dict[str, Any]) -> Video:
    signed = row.pop(ROW_CHECKSUM, None)
    is_whole = all(value is not None for value in row.values())
    if signed is not None:
        is_whole = is_whole and signed == _checksum(row)
    try:
        video = Video(**{**row, "path": text_to_path(row["path"])})
    except (TypeError, ValueError, AttributeError):
        return _NO_ROW
    if is_whole:
        return video
    return Video(video.path, str(video.digest), 0, 0, status="damaged", reason=DAMAGED_ROW)


def _checksum(row: Mapping[str, Any]) -> str:
    return f"{crc32(json.dumps(row, sort_keys=True).encode()):08x}"


def _readable(table: Any) -> Any:
    """The table of videos with text of any bytes: Arrow hands out damaged text as an error.

    ValueError where its columns have other names: a row cannot even say which file it is of.
    """
    import pyarrow as pa

    names = set(table.column_names)
    if unknown := sorted(names - set(_video_schema().names) | {"path"} - names):
        raise ValueError(f"the columns {unknown} are missing, or not of an index")
    for place, column in enumerate(table.schema):
        if pa.types.is_string(column.type):
            table = table.set_column(place, column.name, _text(table[column.name]))
    return table


def _text(column: Any) -> Any:
    import pyarrow as pa

    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = column.cast(pa.binary()).to_pylist()
        return pa.chunked_array(
            [[None if value is None else value.decode("utf-8", "replace") for value in values]],
            pa.utf8(),
        )
    return column


def moment_rows(moments: Sequence[Moments], *, width: int) -> Any:
    """The rows of the table of moments, one for every window."""
    spans = np.concatenate([np.zeros((0, 2)), *(each.spans for each in moments)])
    none = np.zeros((0, width), dtype=np.float16)
    features = np.concatenate([none, *(each.features.astype(np.float16) for each in moments)])
    return moment_table([each.digest for each in moments for _ in each.spans], spans, features)


def moment_table(
    owners: Sequence[str], spans: NDArray[np.float64], features: NDArray[np.float16]
) -> Any:
    """The table of moments: contents (N,), seconds (N, 2), features (N, D)."""
    import pyarrow as pa

    width = features.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), width)
    columns = [pa.array(owners, pa.utf8()), pa.array(spans[:, 0]), pa.array(spans[:, 1]), vectors]
    return pa.Table.from_arrays(columns, schema=_moment_schema(width))


def counts_from(column: Any) -> dict[str, int]:
    """How many rows each content has in the column `video` of the moments."""
    counted = _text(column).value_counts()
    names, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return dict(zip(names, counts, strict=True))


def empty_gallery(width: int, left_out: tuple[Path, ...] = ()) -> Gallery:
    """The gallery of no moments."""
    return Gallery(
        contents=(),
        paths=(),
        owner=np.zeros(0, dtype=np.int64),
        spans=np.zeros((0, 2)),
        features=np.zeros((0, width), dtype=np.float16),
        left_out=left_out,
    )


def gallery_from(rows: Any, paths: Mapping[str, Sequence[Path]], *, width: int) -> Gallery:
    """The moments of the contents in `paths`, grouped by content and in order of time."""
    contents = sorted(paths)
    place = {digest: i for i, digest in enumerate(contents)}
    column = _text(rows["video"]).combine_chunks().dictionary_encode()
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
