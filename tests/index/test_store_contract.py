"""What every store has to do: one set of tests for a folder, for object storage and for Milvus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from store_kinds import (
    NUMBERS,
    WIDTH,
    Make,
    in_folder,
    in_objects,
    moments_of,
    on_milvus,
    on_standalone,
    video,
)
from tempme.index.approximate import search_approximately
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.search import Request, Scan
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.objects import ObjectStore

STORES = {
    "folder": in_folder,
    "s3": in_objects,
    "milvus-lite": on_milvus,
    "milvus": on_standalone,
}
FAR = [kind for kind in STORES if kind != "folder"]
PATHS = ("plain.mp4", 'it\'s "quoted".mp4', "a \N{CLAPPER BOARD}.mp4", "line\nbreak.mp4")


@pytest.fixture(
    scope="module",
    params=["folder", *(pytest.param(far, marks=pytest.mark.slow) for far in FAR)],
)
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    with STORES[request.param](tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"films{next(NUMBERS)}"


def equal(one: Gallery, other: Gallery) -> bool:
    arrays = ("owner", "spans", "features")
    return (one.contents, one.paths, one.left_out) == (
        other.contents,
        other.paths,
        other.left_out,
    ) and all(np.array_equal(getattr(one, field), getattr(other, field)) for field in arrays)


def test_an_empty_store_answers(make: Make, name: str) -> None:
    store = make(name)
    assert store.videos() == ()
    assert (store.num_moments(), store.is_large(), len(store.gallery())) == (0, False, 0)
    assert store.sweep() == 0
    store.forget([Path("/films/none.mp4")])
    store.tidy()


def test_rows_and_moments_come_back_to_the_bit(make: Make, name: str) -> None:
    store = make(name)
    rows = [
        video(path, f"d{i}", codec="h264", duration_seconds=i / 3, reason="cut" * (i % 2))
        for i, path in enumerate(PATHS)
    ]
    rows.append(Video(Path("/films/c.mp4"), "", 0, -5, status="failed", reason="empty file"))
    moments = [moments_of(f"d{i}") for i in range(len(PATHS))]
    store.put(rows, moments)
    for seen in (store, make(name)):
        assert seen.videos() == tuple(sorted(rows, key=lambda row: row.path))
        gallery = seen.gallery()
        assert gallery.contents == ("d0", "d1", "d2", "d3")
        for place, wanted in enumerate(moments):
            assert gallery.content(place).checksum == wanted.checksum
        assert equal(seen.gallery(["d2", "none"]), gallery.of("d2"))
    assert not store.check()


def test_whatever_is_written_twice_is_there_once(make: Make, name: str) -> None:
    store = make(name)
    row, moments = video("a.mp4", "d1"), moments_of("d1")
    store.put([row], [moments])
    if not isinstance(store, LanceStore) or isinstance(store, ObjectStore):
        make(name).put([row], [moments])  # in a folder the lock of the index keeps others out
    assert store.videos() == (row,)
    assert (store.num_moments(), len(store.gallery())) == (3, 3)


def test_the_next_search_sees_what_was_replaced_renamed_and_removed(make: Make, name: str) -> None:
    reader, writer = make(name), make(name)
    writer.put([video("a.mp4", "d1"), video("b.mp4", "d2")], [moments_of("d1"), moments_of("d2")])
    writer.tidy()
    versions = [reader.version()]
    assert reader.gallery().contents == ("d1", "d2")
    writer.put([video("a.mp4", "d3")], [moments_of("d3")])
    versions.append(reader.version())
    assert reader.gallery().contents == ("d2", "d3")
    writer.put([video("new name.mp4", "d2")], [])
    writer.forget([Path("/films/b.mp4")])
    versions.append(reader.version())
    assert [str(p[0]) for p in reader.gallery().paths] == ["/films/new name.mp4", "/films/a.mp4"]
    writer.forget([Path("/films/a.mp4"), Path("/films/none.mp4")])
    versions.append(reader.version())
    assert reader.gallery().contents == ("d2",)
    assert writer.sweep() == 2
    assert reader.num_moments() == 3
    assert len(set(versions)) == len(versions)


def test_moments_that_no_row_names_are_unseen_and_swept(make: Make, name: str) -> None:
    store = make(name)
    store.put([video("a.mp4", "d1")], [moments_of("d1")])
    store.put([], [moments_of("orphan", windows=5)])
    assert (store.gallery().contents, store.num_moments()) == (("d1",), 8)
    assert [row.status for row in store.videos()] == ["ok"]
    assert (store.sweep(), store.num_moments()) == (1, 3)


def test_lost_moments_are_damage_that_is_found_and_taken_out(make: Make, name: str) -> None:
    store = make(name)
    store.put([video("a.mp4", "d1"), video("b.mp4", "d2", windows=4)], [moments_of("d1")])
    assert [row.status for row in store.videos()] == ["ok", "damaged"]
    gallery = store.gallery()
    assert (gallery.contents, gallery.left_out) == (("d1",), (Path("/films/b.mp4"),))
    damage = store.check()
    assert [row.path.name for row in damage.videos] == ["b.mp4"]
    store.repair(damage)
    store.put([], [moments_of("d2", windows=4)])
    assert store.gallery().contents == ("d1", "d2")


def test_many_contents_and_long_ones_are_read_in_parts(make: Make, name: str) -> None:
    store = make(name)
    sizes = {f"d{i:04d}": 1 + i % 3 for i in range(1200)} | {"long": 9000}
    rows = [video(f"{digest}.mp4", digest, windows) for digest, windows in sizes.items()]
    store.put(rows, [moments_of(digest, windows) for digest, windows in sizes.items()])
    gallery = store.gallery()
    assert len(gallery) == store.num_moments() == sum(sizes.values())
    assert gallery.of("long").content(0).checksum == moments_of("long", 9000).checksum
    assert len(store.videos()) == len(sizes)
    store.forget([row.path for row in rows if row.digest != "long"])
    assert store.sweep() == 1200
    assert store.gallery().contents == ("long",)


@pytest.mark.slow
def test_a_large_store_finds_what_an_exact_scan_finds(make: Make, name: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, WIDTH))
    contents = []
    for number in range(400):
        near = centres[number % 60] + 0.8 * rng.standard_normal((10, WIDTH))
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        starts = np.arange(10.0)
        spans = np.stack([starts, starts + 1], axis=1)
        contents.append(Moments(f"d{number:03d}", spans, near.astype(np.float16)))
    rows = [
        Video(
            Path(f"/films/{number % 100}/{one.digest}.mp4"),
            one.digest,
            1,
            1,
            num_moments=10,
            checksum=one.checksum,
        )
        for number, one in enumerate(contents)
    ]
    store = make(name, index_from=2000)
    store.put(rows, contents)
    store.tidy()
    assert store.is_large()
    exact = Scan(store.gallery())
    found = []
    for number in range(15):
        query = centres[number] + 0.8 * rng.standard_normal(WIDTH)
        query = (query / np.linalg.norm(query))[None].astype(np.float32)
        request = Request(k=10)
        wanted = {hit.video_id for hit in exact.hits(query, request)}
        got = {hit.video_id for hit in search_approximately(store, query, request)}
        found.append(len(wanted & got) / 10)
        # One video in a hundred: whatever the index of the features does, this is exact.
        few = Request(k=10, under=Path(f"/films/{number}"))
        assert search_approximately(store, query, few) == exact.hits(query, few)
    assert np.mean(found) >= 0.98
    store.put([replace(rows[0], path=Path("/films/new.mp4"))], [])
    late = moments_of("late")
    store.put([video("late.mp4", "late")], [late])
    assert store.nearest(late.features[1].astype(np.float32), 5)[0] == "late"
    store.forget([Path("/films/late.mp4")])
    hits = search_approximately(store, late.features[1:2].astype(np.float32), Request(k=5))
    assert "late" not in {hit.video_id for hit in hits}
