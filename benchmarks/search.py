"""Searches by the number of moments: time, recall, memory, and what it takes to have them.

Moments are generated: 512 numbers, clustered as the moments of videos are (20 to a video, 50 videos
to a topic); queries are about a topic, as far from it as a video is. Times are those of the
processor, all threads together, in milliseconds or seconds: others may be at work on the machine.
`build` is the first tidying of a store without lists, compaction included, `grow` that after one
moment in a hundred was added. `recall` counts hits of an exact scan that are found, of ten.
`under` are folders with that share of the videos, asked often enough to be kept in memory;
`windows` is `similar` with 20 windows. Each searching process is a new one, and `memory_mb` the
most that it held. Writes results/benchmarks/search-MACHINE.json.

    OMP_NUM_THREADS=1 python benchmarks/search.py [1000 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.index.header import Cutting, Header
from tempme.index.moments import Hit, Moments, Video
from tempme.index.search import EXACT_MOMENTS, Asked, Request, Scan
from tempme.index.searcher import Searcher
from tempme.index.stores.lance import LanceStore
from tempme.results.runs import environment, machine, peak_memory_bytes, write

ROOT = Path(__file__).parents[1]
WIDTH, MOMENTS_PER_VIDEO, VIDEOS_PER_TOPIC = 512, 20, 50
QUERIES, WINDOWS, K = 50, 20, 10
SIZES = (1000, 10_000, 100_000, 1_000_000)
SHARES = {
    "90 %": 0.9,
    "50 %": 0.5,
    "25 %": 0.25,
    "10 %": 0.1,
    "5 %": 0.05,
    "1 %": 0.01,
    "one in 1000": 0.001,
}
VIDEOS_AT_ONCE = 2000
FEATURE_BYTES = 2 * WIDTH


def folder(place: float) -> Path:
    """Where a video lies: below all the folders of such a share, each in a larger one."""
    return Path("/films", *(name for name, share in SHARES.items() if place <= share))


ASKED: dict[str, dict[str, Any]] = {
    "videos": {},
    "moments": {"moments": True},
    **{f"under {name}": {"under": folder(share)} for name, share in SHARES.items()},
    "windows": {},
}


@dataclass(frozen=True)
class World:
    """So many moments of so many videos in a folder; the last hundredth comes later."""

    folder: Path
    num_moments: int

    @property
    def num_videos(self) -> int:
        """With 20 moments each."""
        return self.num_moments // MOMENTS_PER_VIDEO

    @property
    def topics(self) -> NDArray[np.float64]:
        """What videos and queries are about."""
        count = max(1, self.num_videos // VIDEOS_PER_TOPIC)
        return np.random.default_rng(0).standard_normal((count, WIDTH))

    def store(self) -> LanceStore:
        """The store in the folder."""
        return LanceStore(self.folder, features=WIDTH, index_from=EXACT_MOMENTS)

    def put(self, first: int, last: int, store: LanceStore) -> None:
        """Write these videos, in steps as long as those of a run."""
        topics = self.topics
        folders = np.random.default_rng(1).random(self.num_videos + self.num_videos // 100 + 1)
        starts = np.arange(MOMENTS_PER_VIDEO) * 6.0
        spans = np.stack([starts, starts + 12.0], axis=1)
        for start in range(first, last, VIDEOS_AT_ONCE):
            rows, contents = [], []
            for i in range(start, min(start + VIDEOS_AT_ONCE, last)):
                random = np.random.default_rng((2, i))
                about = topics[i % len(topics)] + 0.7 * random.standard_normal(WIDTH)
                own = about + 0.5 * random.standard_normal((MOMENTS_PER_VIDEO, WIDTH))
                moments = Moments(f"{i:032d}", spans, unit(own).astype(np.float16))
                path = folder(folders[i]) / f"{i}.mp4"
                row = Video(path, moments.digest, 1, 1, num_moments=20, checksum=moments.checksum)
                rows.append(row)
                contents.append(moments)
            store.put(rows, contents)

    def queries(self, way: str) -> list[NDArray[np.float32]]:
        """Each (Q, D), unit rows."""
        random, topics = np.random.default_rng(3), self.topics
        about = topics[random.integers(0, len(topics), QUERIES)]
        about = about + 0.8 * random.standard_normal(about.shape)
        if way != "windows":
            return [unit(one[None]) for one in about]
        return [unit(one + 0.5 * random.standard_normal((WINDOWS, WIDTH))) for one in about]


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def build(world: World) -> dict[str, Any]:
    """Fill, tidy, add a hundredth, tidy."""
    store = world.store()
    world.put(0, world.num_videos, store)
    told: dict[str, Any] = {"build_seconds": round(seconds_of(store.tidy), 2)}
    told["folder_over_features"] = round(_size(world.folder) / _features(store), 2)
    store.videos()  # as a run does when it begins
    world.put(world.num_videos, world.num_videos + max(1, world.num_videos // 100), store)
    told["grow_seconds"] = round(seconds_of(store.tidy), 2)
    told["folder_over_features_grown"] = round(_size(world.folder) / _features(store), 2)
    return told


def exact(world: World) -> dict[str, list[list[str]]]:
    """The moments that an exact scan finds, for each way to ask."""
    scan = Scan(world.store().gallery())
    return {
        way: [_names(scan.hits(query, Request(K, **more))) for query in world.queries(way)]
        for way, more in ASKED.items()
    }


def search(world: World, found: dict[str, list[list[str]]]) -> dict[str, Any]:
    """Open the index, ask the first question, ask all of them twice, the second time measured."""
    begin = time.process_time()
    header = Header("none", "none", 1, WIDTH, Cutting())
    searcher = Searcher(world.folder, header, world.store(), encoder=_no_model)
    asked = Asked(world.queries("videos")[0], Request(K), "visual")
    searcher.answer_all([asked])
    told: dict[str, Any] = {"open_seconds": round(time.process_time() - begin, 2)}
    for way, more in ASKED.items():
        times, recalls = [], []
        for turn in range(2):
            for query, wanted in zip(world.queries(way), found[way], strict=True):
                asked = Asked(query, Request(K, **more), "visual")
                begin = time.process_time()
                (hits,) = searcher.answer_all([asked])
                if turn:
                    times.append(1e3 * (time.process_time() - begin))
                    recalls.append(
                        len({*_names(hits)} & {*wanted}) / len(wanted) if wanted else 1.0
                    )
        told[way] = {
            "p50_ms": round(statistics.median(times), 2),
            "p99_ms": round(float(np.quantile(times, 0.99)), 2),
            "recall": round(statistics.mean(recalls), 3),
        }
    told["memory_mb"] = peak_memory_bytes() >> 20
    return told


def _no_model() -> Any:
    raise AssertionError("a search by features needs no model")


def _names(hits: list[Hit]) -> list[str]:
    return [hit.moment_id for hit in hits]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _features(store: LanceStore) -> int:
    return FEATURE_BYTES * store.num_moments()


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(num_moments: int) -> list[dict[str, Any]]:
    """One row for each way to ask, what is alike for all in the first."""
    with tempfile.TemporaryDirectory() as folder, _new_processes() as processes:
        world = World(Path(folder), num_moments)
        built = processes.submit(build, world).result()
        found = processes.submit(exact, world).result()
        told = processes.submit(search, world, found).result()
    ways = {way: told.pop(way) for way in ASKED}
    whole = built | told
    return [
        {"moments": num_moments, "asked": way, **figures, **(whole if way == "videos" else {})}
        for way, figures in ways.items()
    ]


def _new_processes() -> ProcessPoolExecutor:
    """Each call in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    report: dict[str, Any] = {
        **{key: environment()[key] for key in ("machine", "commit")},
        "load_average": round(os.getloadavg()[0], 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "queries": QUERIES,
        "rows": [],
    }
    for size in asked.sizes:
        rows = measure(size)
        print("\n".join(map(json.dumps, rows)), flush=True)
        report["rows"] += rows
    write(report, asked.out or ROOT / "results" / "benchmarks" / f"search-{machine()}.json")


if __name__ == "__main__":
    main()
