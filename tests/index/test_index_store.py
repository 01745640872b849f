from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from golden_files import MATERIAL
from tempme.errors import BadIndex
from tempme.index.lock import writing
from tempme.index.moments import Moments, Video
from tempme.index.stores.intact import whole_or_undone
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.paths import path_to_text, text_to_path

WIDTH = 16
NEVER = 10**9


def store_in(folder: Path, *, index_from: int = NEVER) -> LanceStore:
    folder.mkdir(exist_ok=True)
    return LanceStore(folder, features=WIDTH, index_from=index_from)


def moments_of(digest: str, windows: int = 3) -> Moments:
    random = np.random.default_rng(list(digest.encode()))
    features = random.standard_normal((windows, WIDTH))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    starts = np.arange(windows, dtype=np.float64)
    return Moments(digest, np.stack([starts, starts + 2], axis=1), features.astype(np.float16))


def video(name: str, digest: str, **rest: object) -> Video:
    return Video(Path("/films") / name, digest, 10, 20, num_moments=3, **rest)  # type: ignore[arg-type]


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    rows = (
        video("b 'quoted'.mp4", "d1", codec="h264", duration_seconds=3.25, width=640, height=360),
        video("a \N{CLAPPER BOARD}.mp4", "d2", reason="truncated after 3.2 s"),
        Video(Path("/films/c.mp4"), "", 0, -5, status="failed", reason="empty file"),
    )
    store.put(rows, [moments_of("d1"), moments_of("d2")])
    assert store.videos() == tuple(sorted(rows, key=lambda row: row.path))
    assert store_in(tmp_path / "a.tempme").videos() == store.videos()


def test_a_path_has_one_row(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    store.put([video("a.mp4", "d1"), video("b.mp4", "d1")], [moments_of("d1")])
    store.put([video("a.mp4", "d2")], [moments_of("d2")])
    assert [(v.path.name, v.digest) for v in store.videos()] == [("a.mp4", "d2"), ("b.mp4", "d1")]


def test_moments_without_a_video_are_unseen_and_swept(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    store.put([video("a.mp4", "d1")], [moments_of("d1")])
    store.put([], [moments_of("orphan", windows=5)])
    assert store.gallery().contents == ("d1",)
    assert store.num_moments() == 8
    assert store.sweep() == 1
    assert store.num_moments() == 3


def test_a_gallery_keeps_moments_of_a_video_together_and_in_time(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    for digest in ("d3", "d1", "d2"):
        store.put([video(f"{digest}.mp4", digest)], [moments_of(digest)])
    store.put([video("copy of d1.mp4", "d1")], [])
    gallery = store.gallery()
    assert gallery.contents == ("d1", "d2", "d3")
    assert gallery.owner.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert gallery.first.tolist() == [0, 3, 6]
    assert gallery.spans[3:6, 0].tolist() == [0.0, 1.0, 2.0]
    assert np.array_equal(gallery.features[6:], moments_of("d3").features)
    assert [path.name for path in gallery.paths[0]] == ["copy of d1.mp4", "d1.mp4"]
    assert store.gallery(["d2"]).contents == ("d2",)


def test_the_snapshot_equals_the_tables_and_is_passed_over_when_they_change(tmp_path: Path) -> None:
    folder = tmp_path / "a.tempme"
    store = store_in(folder)
    store.put([video("a.mp4", "d1"), video("b.mp4", "d2")], [moments_of("d1"), moments_of("d2")])
    from_tables = store.gallery()
    store.tidy()
    assert (folder / "scan.npz").exists()
    from_snapshot = store_in(folder).gallery()
    assert from_snapshot.paths == from_tables.paths
    for name in ("owner", "spans", "features"):
        assert np.array_equal(getattr(from_snapshot, name), getattr(from_tables, name))
    store.forget([Path("/films/a.mp4")])
    assert store_in(folder).gallery().contents == ("d2",)


def test_a_damaged_snapshot_is_only_slower(tmp_path: Path) -> None:
    folder = tmp_path / "a.tempme"
    store = store_in(folder)
    store.put([video("a.mp4", "d1")], [moments_of("d1")])
    store.tidy()
    (folder / "scan.npz").write_bytes((folder / "scan.npz").read_bytes()[:100])
    assert store_in(folder).gallery().contents == ("d1",)


def test_tidying_leaves_few_files(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    for i in range(12):
        store.put([video(f"{i}.mp4", f"d{i}")], [moments_of(f"d{i}")])
    store.tidy()
    assert _fragments(store) == {"videos": 1, "moments": 1}
    assert len(store.videos()) == 12
    assert len(store.gallery()) == 36


def _fragments(store: LanceStore) -> dict[str, int]:
    import lancedb

    tables = lancedb.connect(store.folder)
    stats = {name: tables.open_table(name).stats() for name in ("videos", "moments")}
    return {name: stat["fragment_stats"]["num_fragments"] for name, stat in stats.items()}


@pytest.mark.slow
def test_an_approximate_index_finds_the_nearest(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=300)
    digests = [f"d{i:03d}" for i in range(120)]
    contents = [moments_of(digest) for digest in digests]
    store.put([video(f"{digest}.mp4", digest) for digest in digests], contents)
    assert not store.is_large()
    store.tidy()
    assert store.is_large()
    found = [store.nearest(content.features[1].astype(np.float32), 3)[0] for content in contents]
    assert np.mean([a == b for a, b in zip(found, digests, strict=True)]) > 0.95
    store.put([video("new.mp4", "new")], [moments_of("new")])
    assert store.nearest(moments_of("new").features[0].astype(np.float32), 3)[0] == "new"


@pytest.mark.parametrize(
    "name", [b"/plain.mp4", "/\N{CLAPPER BOARD} f.mp4".encode(), b"/\xff\x80\xfe.mp4", b"/a\xe9b"]
)
def test_any_file_name_survives(name: bytes) -> None:
    path = Path(os.fsdecode(name))
    text = path_to_text(path)
    text.encode("utf-8")
    assert os.fsencode(text_to_path(text)) == name


def test_names_that_are_not_utf8_are_stored_and_forgotten(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    row = Video(Path(os.fsdecode(b"/films/\xff.mp4")), "d1", 1, 2, num_moments=3)
    store.put([row], [moments_of("d1")])
    assert store.videos() == (row,)
    store.forget([row.path])
    assert store.videos() == ()


@pytest.mark.slow
def test_a_failing_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on file size stands for a full disk: the write fails half-way in the same place."""
    script = """
import resource, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_index_store import moments_of, store_in, video
from tempme.errors import BadIndex
store = store_in(Path(sys.argv[1]))
store.put([video("a.mp4", "d1")], [moments_of("d1")])
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    store.put([video("b.mp4", "d2")], [moments_of("d2", windows=4000)])
except BadIndex as error:
    print(error)
print([row.path.name for row in store.videos()])
"""
    folder = tmp_path / "a.tempme"
    command = [
        sys.executable,
        "-c",
        script,
        str(folder),
        str(MATERIAL),
        str(Path(__file__).parent),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    message, names = done.stdout.splitlines()
    assert "too large" in message.lower()
    assert "cargo" not in message
    assert "kept" in message
    assert names == "['a.mp4']"


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    store.put([video("a.mp4", "d1")], [moments_of("d1")])
    for file in (store.folder / "videos.lance" / "data").iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(BadIndex, match="cannot be read"):
        store_in(store.folder).videos()


HOLD = """
import sys, time
from pathlib import Path
from tempme.index.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_writer_at_a_time_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BadIndex, match=f"process {holder.pid} "), writing(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with writing(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_version_that_the_disk_took_half_of_is_taken_back(tmp_path: Path) -> None:
    """As LanceDB leaves it on a disk that is full: committed, and its newest file cut short."""
    store = store_in(tmp_path / "a.tempme")
    table = store.folder / "videos.lance"
    store.put([video("a.mp4", "d1")], [moments_of("d1")])
    before = set((table / "data").iterdir())

    def put_half() -> None:
        with whole_or_undone(table):
            store.put([video("b.mp4", "d2")], [moments_of("d2")])
            (new,) = set((table / "data").iterdir()) - before
            new.write_bytes(new.read_bytes()[:-100])

    with pytest.raises(OSError, match="cut short"):
        put_half()
    assert [row.path.name for row in store.videos()] == ["a.mp4"]
    store.put([video("c.mp4", "d3")], [moments_of("d3")])
    assert [row.path.name for row in store.videos()] == ["a.mp4", "c.mp4"]
    assert store.sweep() == 1
    store.tidy()
    assert store.gallery().contents == ("d1", "d3")
