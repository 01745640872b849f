"""Ray makes the shards that the plain run makes, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from far_servers import needs_ray
from index_material import write_video
from loopback import descendants, environment, is_alive
from tempme.index.building.scan import File
from tempme.index.shards.making import Outcome
from tempme.index.shards.opening import open_shards
from tempme.index.shards.ray_actors import packed, unpacked
from tempme.index.shards.ray_cluster import cluster_address
from tempme.index.shards.ray_stages import BATCH_BYTES, Sizes, _by_actor, batches_of
from tempme.index.shards.run import Todo
from tempme.index.shards.shards import Shards

PATIENCE_SECONDS = 420.0
# One that reads, while there is one: it ends when all is read, and on one core one does both.
WORKERS = ("ReadingActor", "MakingActor", "EncodingActor")


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({}),
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, out + err
    return out + err


def shards_in(folder: Path) -> set[Path]:
    found = folder.rglob("units/*/*.parquet")
    return {path for path in found if not path.name.startswith(".")}


def until(is_so: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, finish(process)
        time.sleep(0.02)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    needs_ray()
    folder = tmp_path / "films"
    folder.mkdir()
    colours = ["red", "green", "blue", "yellow"]
    for number in range(10):
        write_video(folder / f"{number:02d}.mp4", [colours[number % 4], colours[number // 4]])
    return folder


@pytest.mark.slow
def test_ray_makes_what_the_plain_run_makes(films: Path, tmp_path: Path) -> None:
    (films / "bad.mp4").write_bytes(b"\0" * 5000)
    write_video(films / "long.mp4", ["red", "green", "blue"] * 60, seconds=4.0, fps=2)
    model = ("--model", "scenes-tiny")
    finish(start("index", films, "--shards", tmp_path / "plain", *model))
    told = finish(start("index", films, "--shards", tmp_path / "ray", "--on", "ray", *model))
    assert "11 indexed, 1 failed" in told
    assert "bad.mp4: not a video" in told
    plain, ray = open_shards(tmp_path / "plain"), open_shards(tmp_path / "ray")
    assert plain.digests().keys() == ray.digests().keys()
    assert plain.recipe == ray.recipe
    assert ray.place.files("pieces") == []
    for digest in plain.digests():
        same(plain, ray, digest)
    again = finish(start("index", films, "--shards", tmp_path / "ray", "--on", "ray"))
    assert "11 unchanged, 1 failed" in again


def same(plain: Shards, ray: Shards, digest: str) -> None:
    one, other = plain.read(digest), ray.read(digest)
    assert one is not None
    assert other is not None
    rows = [{**vars(shard.row), "checksum": "", "path": ""} for shard in (one, other)]
    assert rows[0] == rows[1]
    if one.moments is not None and other.moments is not None:
        assert np.array_equal(one.moments.spans, other.moments.spans)
        # In bf16 on another number of threads it is rounded otherwise.
        products = np.einsum(
            "nd,nd->n", *(s.moments.features.astype(np.float32) for s in (one, other))
        )
        assert products.min() > 0.999


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_killed_workers_and_runs_lose_nothing_and_leave_nothing(
    films: Path, tmp_path: Path
) -> None:
    shards = tmp_path / "shards"
    words = ("index", films, "--shards", shards, "--on", "ray", "--model", "scenes-tiny")
    kept: dict[Path, bytes] = {}
    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = start(*words)
        before = len(kept)
        until(lambda before=before: len(shards_in(shards)) > before, process)  # type: ignore[misc]
        below = descendants(process.pid)
        if how is signal.SIGINT:
            kinds = [pid for kind in WORKERS for pid, told in below.items() if kind in told]
            os.kill(kinds[0], signal.SIGKILL)
            until(lambda: len(shards_in(shards)) > 4, process)
            below |= descendants(process.pid)
        process.send_signal(how)
        said = finish(process, code)
        if how is signal.SIGINT:
            assert said.strip().splitlines()[-1].startswith("stopped; every finished shard is kept")
        until(lambda below=below: not any(map(is_alive, below)))  # type: ignore[misc]
        kept |= {path: path.read_bytes() for path in shards_in(shards)}
    finish(start(*words))
    assert len(open_shards(shards).digests()) == 10
    assert all(path.read_bytes() == content for path, content in kept.items())


@pytest.mark.slow
def test_no_cluster_at_an_address_is_said_in_a_line(films: Path, tmp_path: Path) -> None:
    words = ("--shards", tmp_path / "shards", "--model", "scenes-tiny")
    told = finish(start("index", films, *words, "--on", "ray://127.0.0.1:9"), 1)
    assert told.splitlines()[-1].startswith("error: no Ray cluster at ray://127.0.0.1:9")


@pytest.mark.slow
def test_ray_needs_shards_and_a_known_name(tmp_path: Path) -> None:
    told = finish(start("index", tmp_path, "--on", "ray"), 1)
    assert told.startswith("error: --on ray writes shards: say where with --shards")
    told = finish(start("index", tmp_path, "--on", "dask", "--shards", tmp_path), 1)
    assert told.startswith("error: --on is 'dask'; it is local, ray")


@pytest.mark.parametrize(
    ("resources", "workers", "sizes"),
    [
        ({"CPU": 1.0}, None, Sizes(1, 0, 0.5, 0.0)),
        ({"CPU": 1.0}, 3, Sizes(3, 0, 0.167, 0.0)),
        ({"CPU": 1.0, "GPU": 1.0}, None, Sizes(1, 1, 0.25, 1.0)),
        ({"CPU": 2.0}, None, Sizes(1, 1, 0.5, 0.0)),
        ({"CPU": 8.0}, None, Sizes(6, 2, 0.5, 0.0)),
        ({"CPU": 16.0, "GPU": 2.0}, None, Sizes(16, 2, 0.444, 1.0)),
        ({"CPU": 4.0}, 7, Sizes(7, 1, 0.25, 0.0)),
        ({}, None, Sizes(1, 0, 0.5, 0.0)),
    ],
)
def test_actors_of_a_cluster(
    resources: dict[str, float], workers: int | None, sizes: Sizes
) -> None:
    assert Sizes.of(resources, workers) == sizes


def test_outcomes_travel_whole_and_actors_share_their_seconds() -> None:
    made = Outcome("new", windows=3, decode_seconds=6.0, encode_seconds=4.0)
    (back,) = unpacked(packed([made]))
    assert back == made
    for encoders, seconds in ((2, 2.0), (0, 1.0)):  # without any, readers encode
        shared = replace(made, decode_seconds=1.5, encode_seconds=seconds)
        assert _by_actor(back, Sizes(4, encoders, 0.5, 0.0)) == shared


def test_files_travel_some_at_a_time_and_every_reader_gets_some() -> None:
    def file(number: int, size: int) -> File:
        return File(Path(f"/films/{number:04d}.mp4"), size, 1)

    todo = Todo(tuple(file(n, 1000) for n in range(100)), (file(100, 1000),))
    batches = list(batches_of(todo, readers=2))
    assert [one for batch in batches for one in batch.videos] == list(todo.videos)
    assert [one for batch in batches for one in batch.pictures] == list(todo.pictures)
    assert {len(batch.videos) for batch in batches[:-1]} == {12}
    many = Todo(tuple(file(n, 1000) for n in range(10_000)), ())
    assert max(len(batch.videos) for batch in batches_of(many, readers=2)) == 16
    few = Todo(todo.videos[:3], ())
    assert [len(batch.videos) for batch in batches_of(few, readers=2)] == [1, 1, 1]
    films = Todo(tuple(file(n, BATCH_BYTES * 2 // 3) for n in range(99)), ())
    assert {len(batch.videos) for batch in batches_of(films, readers=1)} == {1}
    assert list(batches_of(Todo((), ()), readers=1)) == []


def test_a_cluster_is_named_on_the_command_line_or_by_the_variable_of_ray() -> None:
    assert cluster_address(None, {}) is None
    assert cluster_address(None, {"RAY_ADDRESS": "local"}) is None
    assert cluster_address(None, {"RAY_ADDRESS": "10.0.0.1:6379"}) == "10.0.0.1:6379"
    there = "ray://head:10001"
    assert cluster_address(there, {"RAY_ADDRESS": "10.0.0.1:6379"}) == there


def test_readers_load_no_torch() -> None:
    loads = "from tempme.index.shards.ray_actors import ReadingActor"
    program = f"import sys; {loads}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment({})
    )
    assert done.stdout.strip() == "False", done.stderr
