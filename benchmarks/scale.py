"""How stores grow, and what Ray costs: figures for docs/scale.md.

    python benchmarks/scale.py stores --only folder-10000 s3-10000 milvus-10000 --out stores.json
    python benchmarks/scale.py stores --only milvus-100000 standalone-100000 --out stores.json
    python benchmarks/scale.py engines --only local-2-24 ray-2-24 --out engines.json

Each part is STORE-MOMENTS or ENGINE-CORES-VIDEOS, and its row takes the place of the one that OUT
has of it, so that a measurement may be made in pieces.

`s3` is searched by a machine without lists, `s3lists` by one that has them.
`milvus` is Milvus Lite, `standalone` Milvus itself, in .venv-milvus; what that one builds is waited
for. Moments are generated: unit vectors around centres, ten to a video, as neighbouring windows of
films are alike. Recall is that of the contents of the ten best hits, against an exact scan; once of
all videos, and once of one in a hundred, by a filter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from loopback import BUCKET, descendants, environment, milvus_server, milvus_standalone, s3_server
from tempme.index.building.encode import Encoder
from tempme.index.header import Cutting, Header
from tempme.index.moments import Gallery, Hit, Moments, Video
from tempme.index.search import EXACT_MOMENTS, Asked, Request, Scan
from tempme.index.searcher import Searcher
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.milvus import MilvusStore
from tempme.index.stores.milvus_server import About, Address, MilvusServer
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.places import Place
from tempme.index.stores.store import Store

WIDTH, PER_VIDEO, PER_WRITE = 512, 10, 200
SPREAD, QUERIES, K = 0.05, 50, 10
FILTER_KEEPS, INDEX_SECONDS = 100, 1200
SETTINGS = {"features": WIDTH, "index_from": EXACT_MOMENTS}
KINDS = ("folder", "s3", "s3lists", "milvus")
PARTS = {
    "stores": [f"{kind}-{size}" for size in (10**4, 10**5) for kind in KINDS],
    "engines": [f"{on}-{cpus}-{n}" for n in (24, 96) for cpus in (2, 1) for on in ("local", "ray")],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["stores", "engines"])
    parser.add_argument("--only", nargs="+", help="parts to measure (all)")
    parser.add_argument("--model", default="scenes-tiny", help="that engines run")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    measures = store_row if asked.what == "stores" else partial(engine_row, asked.model)
    for part in asked.only or PARTS[asked.what]:
        load = os.getloadavg()[0]
        row = {"part": part, **measures(*part.split("-")), "load": round(load, 1)}
        print(json.dumps(row), flush=True)
        keep(row, asked.out)


def keep(row: dict[str, Any], out: Path) -> None:
    """The row in the place of the one that the file has of this part."""
    rows = json.loads(out.read_text())["rows"] if out.exists() else []
    rows = [one for one in rows if one.get("part") != row["part"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    found = {"cores": os.cpu_count(), "rows": sorted([*rows, row], key=order_of)}
    out.write_text(json.dumps(found, indent=1) + "\n")


def order_of(row: dict[str, Any]) -> tuple[Any, ...]:
    *words, size = row["part"].split("-")
    return int(size), words


def store_row(kind: str, moments: str) -> dict[str, Any]:
    """One store of so many moments, filled, indexed and searched."""
    size = int(moments)
    with tempfile.TemporaryDirectory() as scratch, opened(kind, Path(scratch)) as store:
        contents = list(generated(size))
        return {"store": kind, "moments": size, **measured(kind, store, contents, Path(scratch))}


def generated(size: int) -> Iterator[Moments]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, size // 100), WIDTH))
    for number in range(size // PER_VIDEO):
        own = centres[number % len(centres)] + rng.standard_normal(WIDTH)
        near = own + SPREAD * WIDTH**0.5 * rng.standard_normal((PER_VIDEO, WIDTH))
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        starts = 6.0 * np.arange(PER_VIDEO)
        yield Moments(f"{number:032x}", np.stack([starts, starts + 12], 1), near.astype(np.float16))


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Store]:
    """An empty store, which searches as that of an index of its kind does."""
    here = folder / "here"
    here.mkdir()
    if kind == "folder":
        yield LanceStore(here, **SETTINGS)
    elif kind in ("s3", "s3lists"):
        with s3_server() as told:
            os.environ.update(told)
            yield ObjectStore(Place.of(f"s3://{BUCKET}/index"), here, **SETTINGS)
    else:
        with milvus_of(kind, folder / "milvus") as address:
            server = MilvusServer(Address.of(f"milvus://{address}/films"))
            server.begin(About("{}", ""), features=WIDTH)
            yield MilvusStore(server, here, **SETTINGS)


@contextmanager
def milvus_of(kind: str, folder: Path) -> Iterator[str]:
    """The address of Milvus Lite, or of Milvus itself (`standalone`)."""
    if kind == "standalone":
        with milvus_standalone(folder) as (address, _):
            yield address
    else:
        with milvus_server(folder) as address:
            yield address


def wait_for_indexes(store: Store) -> None:
    """Until a server of Milvus has built what a flush has it build; Milvus Lite builds at once."""
    end = time.monotonic() + INDEX_SECONDS
    while isinstance(store, MilvusStore) and time.monotonic() < end:
        told = store.server.client.describe_index(store.server.moments, "feature")
        if not int(told.get("pending_index_rows", 0)):
            return
        time.sleep(0.2)


def measured(kind: str, store: Store, contents: list[Moments], folder: Path) -> dict[str, Any]:
    begin = time.monotonic()
    per_write = max(PER_WRITE, len(contents) // 50)
    for start in range(0, len(contents), per_write):
        part = contents[start : start + per_write]
        store.put([row_of(one) for one in part], part)
    written = time.monotonic()
    store.tidy()
    wait_for_indexes(store)
    tidied = time.monotonic()
    exact = Scan(gallery_of(contents))
    search = searching(store, folder / "here")
    if kind == "s3":
        there = folder / "there"
        there.mkdir()
        other = ObjectStore(Place.of(f"s3://{BUCKET}/index"), there, **SETTINGS)
        search = searching(other, there)
    before = peak_mb(os.getpid(), reset=True)
    search(contents[0].features[:1].astype(np.float32), Request(k=K))  # reads what searches keep
    whole = compared(search, exact, contents, Request(k=K))
    searched = peak_mb(os.getpid()) - before
    few = frozenset(row_of(one).path for one in contents[::FILTER_KEEPS])
    filtered = compared(search, exact, contents, Request(k=K, paths=few))
    return {
        "write_seconds": round(written - begin, 2),
        "build_seconds": round(tidied - written, 2),
        "size_bytes": size_of(store, folder),
        **whole,
        "has_index": store.is_large(),
        "search_mb": searched,
        "server_mb": max(map(peak_mb, descendants(os.getpid())), default=0),
        **{f"filtered_{name}": number for name, number in filtered.items()},
    }


def compared(
    search: Callable[[np.ndarray, Request], list[Hit]],
    exact: Scan,
    contents: list[Moments],
    request: Request,
) -> dict[str, float]:
    """How long searches take, and how much of what a scan of all finds they find."""
    rng = np.random.default_rng(1)
    recalls, times = [], []
    for number in rng.choice(len(contents), QUERIES):
        near = contents[number].features[3].astype(np.float32)
        query = near + SPREAD * rng.standard_normal(WIDTH)
        query = (query / np.linalg.norm(query))[None].astype(np.float32)
        wanted = {hit.video_id for hit in exact.hits(query, request)}
        begun = time.monotonic()
        hits = search(query, request)
        times.append(1000 * (time.monotonic() - begun))
        recalls.append(len(wanted & {hit.video_id for hit in hits}) / len(wanted))
    return {
        "p50_ms": round(float(np.percentile(times, 50)), 1),
        "p99_ms": round(float(np.percentile(times, 99)), 1),
        "recall_at_10": round(float(np.mean(recalls)), 4),
    }


def size_of(store: Store, folder: Path) -> int:
    """What lies on this disk, and in the bucket."""
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    if isinstance(store, ObjectStore):
        size += sum(one.size_bytes for one in Place.of(f"s3://{BUCKET}/index").files())
    return size


def gallery_of(contents: list[Moments]) -> Gallery:
    """All moments as they were generated, for an exact scan; their contents are in order."""
    return Gallery(
        contents=tuple(one.digest for one in contents),
        paths=tuple((row_of(one).path,) for one in contents),
        owner=np.arange(len(contents)).repeat(PER_VIDEO),
        spans=np.concatenate([one.spans for one in contents]),
        features=np.concatenate([one.features for one in contents]),
    )


def searching(store: Store, folder: Path) -> Callable[[np.ndarray, Request], list[Hit]]:
    """What a search of an index in this store does, with a look at whether it has changed."""
    header = Header("none", "none", 1, WIDTH, Cutting())
    searcher = Searcher(folder, header, store, encoder=no_model)
    return lambda query, request: searcher.answer_all([Asked(query, request, "visual")])[0]


def no_model() -> Encoder:
    raise AssertionError("a search by features needs no model")


def peak_mb(pid: int, *, reset: bool = False) -> int:
    """The most memory that a process held, and with `reset` from now on."""
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    peak = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(peak.split()[1]) // 1024


def row_of(one: Moments) -> Video:
    path = Path(f"/films/{one.digest[-3:]}/{one.digest}.mp4")
    return Video(path, one.digest, 1, 1, num_moments=len(one.spans), checksum=one.checksum)


def engine_row(model: str, on: str, cores: str, number: str) -> dict[str, Any]:
    """Plain processes or Ray over so many generated videos, into shards of their own."""
    cpus, videos = int(cores), int(number)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tempme("data", "scenes", "--out", folder / "videos", "--count", videos)
        words = ("index", folder / "videos", "--shards", folder / "shards", "--on", on, "--json")
        told = json.loads(tempme(*words, "--model", model, cpus=cpus))
    figures = ("seconds", "videos_per_second", "decode_seconds", "encode_seconds")
    return {"engine": on, "cpus": cpus, "videos": videos, **{name: told[name] for name in figures}}


def tempme(*words: object, cpus: int = 2) -> str:
    command = [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)]
    some = ",".join(map(str, range(cpus)))
    done = subprocess.run(
        ["taskset", "-c", some, *command],
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    main()
