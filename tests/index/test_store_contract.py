"""What every store has to do: one set of tests for a folder, for object storage and for Milvus."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from far_servers import needs_milvus, needs_s3
from loopback import BUCKET, environment, milvus_server, s3_server
from tempme.index.moments import Gallery, Moments, Video
from tempme.index.search import Request, Scan, search_approximately
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.milvus import MilvusStore
from tempme.index.stores.milvus_server import About, Address, Server
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.places import Place
from tempme.index.stores.store import Store

WIDTH = 32
NEVER = 10**9
PATHS = ("plain.mp4", 'it\'s "quoted".mp4', "a \N{CLAPPER BOARD}.mp4", "line\nbreak.mp4")
NUMBERS = itertools.count()

Make = Callable[..., Store]
"""A store by name; the same name is the same rows."""


@pytest.fixture(
    scope="module",
    params=["folder", *(pytest.param(far, marks=pytest.mark.slow) for far in ("s3", "milvus"))],
)
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    stores = {"folder": in_folder, "s3": in_objects, "milvus": on_milvus}
    with stores[request.param](tmp_path_factory.mktemp("stores")) as made:
        yield made


@contextmanager
def in_folder(folder: Path) -> Iterator[Make]:
    def make(name: str, *, index_from: int = NEVER) -> Store:
        (folder / name).mkdir(exist_ok=True)
        return LanceStore(folder / name, features=WIDTH, index_from=index_from)

    yield make


@contextmanager
def in_objects(folder: Path) -> Iterator[Make]:
    needs_s3()

    def make(name: str, *, index_from: int = NEVER) -> Store:
        place = Place.of(f"s3://{BUCKET}/{name}")
        return ObjectStore(place, new(folder), features=WIDTH, index_from=index_from)

    with s3_server() as told, pytest.MonkeyPatch.context() as patch:
        for variable, value in told.items():
            patch.setenv(variable, value)
        yield make


@contextmanager
def on_milvus(folder: Path) -> Iterator[Make]:
    needs_milvus()

    with milvus_server(folder / "milvus") as address:

        def make(name: str, *, index_from: int = NEVER) -> Store:
            server = Server(Address.of(f"milvus://{address}/{name}"))
            if server.about() is None:
                server.begin(About("{}", ""), features=WIDTH)
            return MilvusStore(server, new(folder), features=WIDTH, index_from=index_from)

        yield make


def new(folder: Path) -> Path:
    """A folder of this machine for one who opens a store."""
    path = folder / f"opened-{next(NUMBERS)}"
    path.mkdir()
    return path


@pytest.fixture
def name() -> str:
    return f"films{next(NUMBERS)}"


def moments_of(digest: str, windows: int = 3) -> Moments:
    random = np.random.default_rng(list(digest.encode()))
    features = random.standard_normal((windows, WIDTH))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    starts = np.arange(windows, dtype=np.float64) / 3
    return Moments(digest, np.stack([starts, starts + 2], axis=1), features.astype(np.float16))


def video(path: str, digest: str, windows: int = 3, **rest: object) -> Video:
    checksum = moments_of(digest, windows).checksum
    return Video(
        Path("/films") / path, digest, 10, 20, num_moments=windows, checksum=checksum, **rest
    )  # type: ignore[arg-type]


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
    store.put([rows[0].__class__(**{**vars(rows[0]), "path": Path("/films/new.mp4")})], [])
    late = moments_of("late")
    store.put([video("late.mp4", "late")], [late])
    assert store.nearest(late.features[1].astype(np.float32), 5)[0] == "late"
    store.forget([Path("/films/late.mp4")])
    hits = search_approximately(store, late.features[1:2].astype(np.float32), Request(k=5))
    assert "late" not in {hit.video_id for hit in hits}


TWO = """
import sys, pathlib, tempfile
sys.path[:0] = {path!r}
from test_store_contract import *
kind, address, name, first = sys.argv[1:]
folder = pathlib.Path(tempfile.mkdtemp())
if kind == "s3":
    store = ObjectStore(Place.of(address), folder, features=WIDTH, index_from=NEVER)
else:
    store = MilvusStore(Server(Address.of(address)), folder, features=WIDTH, index_from=NEVER)
for number in range(int(first), int(first) + 12):
    digest = f"d{{number:02d}}"
    store.put([video(f"{{digest}}.mp4", digest)], [moments_of(digest)])
"""


def test_two_writers_at_once_lose_nothing(make: Make, name: str) -> None:
    """The two write eight videos of which both have the same, at the same time."""
    store = make(name)
    if isinstance(store, ObjectStore):
        words = ["s3", f"s3://{BUCKET}/{name}"]
    elif isinstance(store, MilvusStore):
        words = ["milvus", store.server.address.shown]
    else:
        pytest.skip("in a folder the lock of the index lets one writer in at a time")
    program = TWO.format(path=sys.path)
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, *words, name, str(first)],
            env=environment({}),
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 4)
    ]
    for process in both:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    fresh = make(name)
    assert [row.digest for row in fresh.videos() if row.status == "ok"] == [
        f"d{number:02d}" for number in range(16)
    ]
    assert (len(fresh.gallery()), fresh.num_moments()) == (48, 48)
    assert not fresh.check()
