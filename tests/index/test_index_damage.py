"""What an index has lost is left out and said, and comes back by the next run or a repair."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index_material import ColourRetriever, write_video
from tempme.errors import BadIndex
from tempme.index import Counts, Hit, Index
from tempme.index.moments import Moments, Video
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.rows import ROW_CHECKSUM

QUERY = "red green yellow"


def shown(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Hits with scores as they are shown: a product of fewer rows rounds otherwise."""
    return [hit.as_dict() for hit in hits]


def again(index: Index) -> Index:
    return Index.open(index.path, retriever=ColourRetriever())


def without_snapshot(index: Index) -> Index:
    (index.path / "scan.npz").unlink()
    return again(index)


def lose(index: Index, table: str) -> Index:
    shutil.rmtree(index.path / f"{table}.lance")
    return again(index)


def test_a_status_without_the_table_of_rows_is_no_empty_index(index: Index) -> None:
    hurt = lose(index, "videos")
    with pytest.raises(BadIndex, match=r"videos\.lance: is missing"):
        hurt.status()


@pytest.mark.slow
def test_manifests_cut_short_are_repaired(index: Index) -> None:
    before = shown(index.search(QUERY))
    for path in index.path.glob("*.lance/_versions/*.manifest"):
        path.write_bytes(path.read_bytes()[:40])
    hurt = again(index)
    assert set(hurt.check().unreadable) == {"videos", "moments"}
    hurt.repair(workers=1)
    assert not again(index).check()
    assert shown(again(index).search(QUERY)) == before


@pytest.mark.slow
def test_rows_whose_moments_are_lost_are_said_and_pending(index: Index, films: Path) -> None:
    before = shown(index.search(QUERY))
    hurt = lose(without_snapshot(index), "moments")
    assert hurt.search(QUERY) == []
    assert len(hurt.left_out()) == 3
    status = hurt.status()
    assert (status.num_videos, status.num_damaged, status.num_failed) == (0, 3, 1)
    assert hurt.add(films, workers=1).videos == Counts(indexed=3, failed=1)
    assert shown(hurt.search(QUERY)) == before
    assert not hurt.left_out()
    assert not hurt.check()


@pytest.mark.slow
def test_moments_that_two_runs_have_both_written_are_embedded_again(
    index: Index, films: Path
) -> None:
    """As two writers left it that did not exclude one another."""
    before = shown(index.search(QUERY))
    gallery = index._store.gallery()
    index._store.put([], [gallery.content(0), gallery.content(1)])
    assert len(again(index).left_out()) == 2
    assert again(index).add(films, workers=1).videos == Counts(indexed=2, unchanged=1, failed=1)
    assert shown(again(index).search(QUERY)) == before
    assert again(index)._store.num_moments() == 4


def moved(index: Index, change: Callable[[Moments], Moments]) -> str:
    """Write other numbers under a content that is there; its digest."""
    moments = index._store.gallery().content(0)
    index._store._tables.delete("moments", "video", [moments.digest])
    index._store.put([], [change(moments)])
    return moments.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda m: Moments(m.digest, m.spans + np.array([[0, 2.0**-40]]), m.features),
        lambda m: Moments(m.digest, m.spans, np.nextafter(m.features, np.float16(2))),
        lambda m: Moments(m.digest, m.spans, m.features[:, ::-1].copy()),
    ],
    ids=["a span", "a bit of a feature", "a feature"],
)
def test_a_content_that_has_changed_is_left_out(
    index: Index, change: Callable[[Moments], Moments]
) -> None:
    before = shown(index.search(QUERY))
    digest = moved(index, change)
    hurt = again(index)
    found, (lost,) = shown(hurt.search(QUERY)), hurt.left_out()
    assert found == [hit for hit in before if hit["video_id"] != digest]
    assert [row.path for row in hurt.check().videos] == [lost]
    done = hurt.repair(workers=1)
    assert done.gone == ()
    assert not hurt.check()
    assert shown(again(index).search(QUERY)) == before


@pytest.mark.parametrize(
    "column",
    [
        "digest",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("path", "num_moments", "status", "checksum")
        ),
    ],
)
def test_a_row_that_has_changed_is_left_out(index: Index, films: Path, column: str) -> None:
    before = shown(index.search(QUERY))
    digest = before[0]["video_id"]
    with index._store._tables.committing("videos") as table:
        value = "7" if column == "num_moments" else "'/films/elsewhere.mp4'"
        table.update(where=f"digest = '{digest}'", values_sql={column: value})
    hurt = again(index)
    assert shown(hurt.search(QUERY)) == before[1:]
    assert len(hurt.left_out()) == 1
    (row,) = hurt.check().videos
    assert row.reason == "its row in the index is damaged"
    hurt.repair(workers=1)
    hurt.add(films, workers=1)
    assert shown(again(index).search(QUERY)) == before
    assert not again(index).check()


@pytest.mark.slow
@pytest.mark.parametrize("table", ["videos", "moments"])
@pytest.mark.parametrize("kept", ["snapshot", "rows", "nothing"])
def test_a_table_that_is_lost_comes_back(index: Index, films: Path, table: str, kept: str) -> None:
    before = shown(index.search(QUERY))
    if kept == "nothing":
        (index.path / "rows.npz").unlink()
    hurt = lose(index if kept == "snapshot" else without_snapshot(index), table)
    assert hurt.check()
    if table == "videos":
        with pytest.raises(BadIndex, match=r"videos\.lance: is missing; `tempme check --index"):
            hurt.search(QUERY)
    else:
        assert hurt.search(QUERY) == []
    hurt.repair(workers=1)
    if table == "videos" and kept == "nothing":  # which files there were, nobody knows
        assert hurt.search(QUERY) == []
        hurt.add(films, workers=1)
    assert shown(again(index).search(QUERY)) == before
    assert not again(index).check()


def test_what_the_snapshot_still_has_needs_no_file(index: Index, films: Path) -> None:
    before = shown(index.search(QUERY))
    shutil.rmtree(films)
    hurt = lose(index, "moments")
    done = hurt.repair(workers=1)
    assert (done.report, done.gone) == (None, ())
    assert shown(again(index).search(QUERY)) == before


def test_a_file_that_is_gone_is_said(index: Index, films: Path) -> None:
    (films / "red.mp4").unlink()
    hurt = lose(without_snapshot(index), "moments")
    done = hurt.repair(workers=1)
    assert done.gone == (films / "red.mp4",)
    assert done.report is not None
    assert done.report.videos.indexed == 2
    assert not hurt.check()


def damage_somewhere(folder: Path, chance: random.Random) -> None:
    """One bit, or the end, of one file of a table."""
    path = chance.choice([p for p in sorted(folder.glob("*.lance/**/*")) if p.is_file()])
    content = bytearray(path.read_bytes())
    if chance.random() < 0.7:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        del content[chance.randrange(len(content)) :]
    path.write_bytes(content)


def is_right(found: list[Any], left_out: tuple[Path, ...], before: list[Any]) -> bool:
    lost = {hit["path"] for hit in before if hit not in found}
    is_said = [any(is_nearly(path, str(name)) for name in left_out) for path in lost]
    return all(hit in before for hit in found) and all(is_said)


def is_nearly(path: str, name: str) -> bool:
    """Whether it is the path, or what became of it where the bit that changed is in it."""
    changed = sum(one != other for one, other in zip(path, name, strict=False))
    return len(path) == len(name) and changed <= 1


def test_no_damage_of_a_table_gives_a_wrong_answer(index: Index, tmp_path: Path) -> None:
    chance = random.Random(3)
    before = shown(without_snapshot(index).search(QUERY))
    refusals = []
    for _ in range(40):
        copy = tmp_path / "copy.tempme"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(index.path, copy)
        damage_somewhere(copy, chance)
        hurt = Index.open(copy, retriever=ColourRetriever())
        try:
            found, left_out = shown(hurt.search(QUERY)), hurt.left_out()
        except BadIndex as error:
            refusals.append(str(error).replace(str(copy), "a.tempme"))
            continue
        assert is_right(found, left_out, before)
    assert refusals
    for said in refusals:
        assert "\n" not in said
        assert "`tempme check --index a.tempme --repair` mends" in said


def as_of_format_1(index: Index) -> Index:
    """What an older version wrote: no checksums."""
    rows = index._store._tables.rows("videos").drop_columns([ROW_CHECKSUM, "checksum"])
    index._store._tables.replace("videos", rows)
    path = index.path / "index.json"
    fields = json.loads(path.read_text())
    del fields["written_by"]
    path.write_text(json.dumps({**fields, "format": 1}))
    (index.path / "scan.npz").unlink()
    return again(index)


@pytest.mark.slow
def test_an_older_index_is_read_and_gets_checksums_by_the_next_run(
    index: Index, films: Path
) -> None:
    before = shown(index.search(QUERY))
    old = as_of_format_1(index)
    assert shown(old.search(QUERY)) == before
    assert not old.check()
    write_video(films / "new.mp4", ["blue", "red"])
    assert old.add(films, workers=1).videos == Counts(indexed=1, unchanged=3, failed=1)
    assert again(index).header.format == 2
    assert all(row.checksum for row in again(index).videos() if row.status == "ok")
    digest = moved(index, lambda m: Moments(m.digest, m.spans + np.array([[0, 1.0]]), m.features))
    assert digest not in {hit.video_id for hit in again(index).search(QUERY)}


def test_one_path_in_two_spellings_is_one_row_again(tmp_path: Path) -> None:
    """As an older version wrote it under an ASCII locale, and then again under another."""
    store = LanceStore(tmp_path, features=4, index_from=10**6)
    feature = np.eye(1, 4, dtype=np.float16)
    row = Video(Path("/films/é.mp4"), "d1", 1, 1, num_moments=1)
    store.put([row], [Moments("d1", np.array([[0.0, 1.0]]), feature)])
    table = store._tables.rows("videos").drop_columns([ROW_CHECKSUM, "checksum"])
    other = table.to_pylist()[0] | {"path": "/films/\0c3\0a9.mp4"}
    store._tables.replace("videos", table.from_pylist([*table.to_pylist(), other], table.schema))
    store.upgrade()
    (one,) = store.videos()
    assert (one.path, one.status) == (row.path, "ok")
    store.forget([row.path])
    assert store.videos() == ()


@pytest.mark.parametrize("column", ["path", "digest", "row_checksum"])
def test_a_column_that_has_lost_its_name_is_said(index: Index, films: Path, column: str) -> None:
    """A bit of the manifest is enough: no row then says which file it is of."""
    hurt = without_snapshot(index)
    before = shown(hurt.search(QUERY))
    folder = index.path / "videos.lance" / "_versions"
    newest = min(folder.glob("*.manifest"))
    name = column.encode()
    content = newest.read_bytes()
    assert name in content
    newest.write_bytes(content.replace(name, name[:-1] + b"?"))
    hurt = Index.open(hurt.path, retriever=ColourRetriever())
    with pytest.raises(BadIndex, match=r"videos\.lance: .*check --index"):
        hurt.search(QUERY)
    hurt.repair(workers=1)
    hurt.add(films, workers=1)  # which files there were, only the lost table knew
    assert shown(hurt.search(QUERY)) == before
