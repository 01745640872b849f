"""`rows.npz`: what an index holds, told without LanceDB, and only while it is true."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_material import ColourRetriever
from lists_material import put, store_in
from tempme.index import Index, Video
from tempme.index.stores.row_copy import COLUMNS, NAME, read_rows, write_rows

TOLD = """
import json, sys
from tempme.index import Index
status = Index.open(sys.argv[1]).status()
heavy = [name for name in ("torch", "lancedb", "pyarrow", "av") if name in sys.modules]
print(json.dumps([status.as_dict(), heavy]))
"""


def test_a_status_loads_neither_lancedb_nor_torch(index: Index) -> None:
    command = [sys.executable, "-c", TOLD, str(index.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    told, heavy = json.loads(done.stdout)
    assert heavy == []
    (index.path / NAME).unlink()
    from_tables = index.status().as_dict()
    told.pop("size_bytes"), from_tables.pop("size_bytes")
    assert told == json.loads(json.dumps(from_tables))
    assert told["num_failed"] == 1


def test_a_copy_of_another_version_is_passed_over(index: Index) -> None:
    gone = next(video.path for video in index.videos() if video.status == "ok")
    before = index.status().num_videos
    index._store.forget([gone])
    assert (index.path / NAME).is_file()
    assert index.status().num_videos == before - 1


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=10**9)
    put(store, range(20))
    odd = Video(
        Path("/films/\udcff\N{CLAPPER BOARD}.mp4"), "d", 1, -5, 2.5, "h264", 3, 4, 0, "failed"
    )
    store.put([odd, replace(odd, path=Path("/x"), status="interrupted", reason="it")], [])
    store.tidy()
    assert read_rows(store.folder, version=store.version()) == store.videos()
    assert read_rows(store.folder, version="another") is None


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 0.999])
def test_a_damaged_copy_is_passed_over(index: Index, place: float) -> None:
    path = index.path / NAME
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    copy = read_rows(index.path, version=index._store.version())
    assert copy in (None, index.videos())
    assert Index.open(index.path, retriever=ColourRetriever()).status().num_videos == 3


STRANGE = [
    7,
    None,
    [[1, 2]],
    [["/a", "d", "many", 1, 0, "", 0, 0, 0, "ok", "", ""]],
    [["/a", "d", 1, 1, 0.0, "", 0, 0, 0, "fine", "", ""]],
]


def test_rows_of_a_stranger_are_held_against_their_kinds(index: Index) -> None:
    write_rows(index.path, [], version="v")
    assert read_rows(index.path, version="v") == ()
    for rows in STRANGE:
        told = json.dumps({"version": "v", "columns": COLUMNS, "rows": rows}).encode()
        with (index.path / NAME).open("wb") as file:
            np.savez(file, rows=np.frombuffer(told, dtype=np.uint8))
        assert read_rows(index.path, version="v") is None


def test_rows_that_were_read_are_read_again_where_they_changed(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=10**9)
    put(store, range(20))
    before = store.videos()
    changed = replace(before[3], mtime_ns=99, reason="truncated after 1 s")
    store.put([changed], [])
    store.forget([before[5].path])
    expected = [*before[:3], changed, before[4], *before[6:]]
    assert list(store.videos()) == expected
    assert store.videos() == store_in(store.folder).videos()
    assert store.check().videos == ()
