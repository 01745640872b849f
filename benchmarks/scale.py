"""How stores grow, and what Ray costs: figures for docs/scale.md.

    python benchmarks/scale.py stores --moments 10000 100000 --out results/scale/stores.json
    python benchmarks/scale.py engines --videos 24 --out results/scale/engines.json

Moments are generated: unit vectors around centres, ten to a video, as neighbouring windows of films
are alike. Recall is that of the contents of the ten best hits, against an exact scan.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from loopback import BUCKET, environment, milvus_server, s3_server
from tempme.index.moments import Moments, Video
from tempme.index.search import Request, Scan, search_approximately
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.milvus import MilvusStore
from tempme.index.stores.milvus_server import About, Address, MilvusServer
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.places import Place
from tempme.index.stores.store import Store

WIDTH, PER_VIDEO, PER_WRITE = 512, 10, 200
SPREAD, QUERIES, K = 0.05, 50, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["stores", "engines"])
    parser.add_argument("--moments", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--kinds", nargs="+", default=["folder", "s3", "milvus"])
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    rows = list(
        stores(asked.moments, asked.kinds) if asked.what == "stores" else engines(asked.videos)
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(
        json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], "rows": rows}, indent=1)
        + "\n"
    )


def stores(sizes: list[int], kinds: list[str]) -> Iterator[dict[str, Any]]:
    for size in sizes:
        contents = list(generated(size))
        for kind in kinds:
            with (
                tempfile.TemporaryDirectory() as scratch,
                opened(kind, Path(scratch), size) as store,
            ):
                row = {"store": kind, "moments": size, **measured(store, contents, Path(scratch))}
            print(json.dumps(row), flush=True)
            yield row


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
def opened(kind: str, folder: Path, size: int) -> Iterator[Store]:
    """An empty store that has an index of its features once it is filled."""
    here = folder / "here"
    here.mkdir()
    settings = {"features": WIDTH, "index_from": min(size, 200_000)}
    if kind == "folder":
        yield LanceStore(here, **settings)
    elif kind == "s3":
        with s3_server() as told:
            os.environ.update(told)
            yield ObjectStore(Place.of(f"s3://{BUCKET}/index"), here, **settings)
    else:
        with milvus_server(folder / "milvus") as address:
            server = MilvusServer(Address.of(f"milvus://{address}/films"))
            server.begin(About("{}", ""), features=WIDTH)
            yield MilvusStore(server, here, **settings)


def measured(store: Store, contents: list[Moments], folder: Path) -> dict[str, Any]:
    begin = time.monotonic()
    for start in range(0, len(contents), PER_WRITE):
        part = contents[start : start + PER_WRITE]
        store.put([row_of(one) for one in part], part)
    written = time.monotonic()
    store.tidy()
    tidied = time.monotonic()
    exact = Scan(store.gallery([one.digest for one in contents]))
    rng = np.random.default_rng(1)
    recalls, times = [], []
    for number in rng.choice(len(contents), QUERIES):
        query = contents[number].features[3].astype(np.float32) + SPREAD * rng.standard_normal(
            WIDTH
        )
        query = (query / np.linalg.norm(query))[None].astype(np.float32)
        wanted = {hit.video_id for hit in exact.hits(query, Request(k=K))}
        begun = time.monotonic()
        hits = (
            search_approximately(store, query, Request(k=K))
            if store.is_large()
            else exact.hits(query, Request(k=K))
        )
        times.append(1000 * (time.monotonic() - begun))
        recalls.append(len(wanted & {hit.video_id for hit in hits}) / K)
    return {
        "write_seconds": round(written - begin, 2),
        "build_seconds": round(tidied - written, 2),
        "size_bytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
        "p50_ms": round(float(np.percentile(times, 50)), 1),
        "p99_ms": round(float(np.percentile(times, 99)), 1),
        "recall_at_10": round(float(np.mean(recalls)), 4),
        "has_index": store.is_large(),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def row_of(one: Moments) -> Video:
    path = Path(f"/films/{one.digest[-3:]}/{one.digest}.mp4")
    return Video(path, one.digest, 1, 1, num_moments=len(one.spans), checksum=one.checksum)


def engines(videos: int) -> Iterator[dict[str, Any]]:
    """Plain processes and Ray over the same videos, each into shards of its own; in turns."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tempme("data", "scenes", "--out", folder / "videos", "--count", videos)
        for on, cpus in (("local", 2), ("ray", 2), ("local", 1), ("ray", 1)):
            shards = folder / f"{on}-{cpus}"
            words = ("index", folder / "videos", "--shards", shards, "--on", on, "--json")
            told = json.loads(tempme(*words, "--model", "scenes-tiny", cpus=cpus))
            row = {
                "engine": on,
                "cpus": cpus,
                "videos": videos,
                "seconds": told["seconds"],
                "videos_per_second": told["videos_per_second"],
                "decode_seconds": told["decode_seconds"],
                "encode_seconds": told["encode_seconds"],
            }
            print(json.dumps(row), flush=True)
            yield row


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
