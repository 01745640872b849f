"""Search time by the number of moments: the exact scan beside the approximate index.

Moments are synthetic: 512 numbers, clustered as the moments of videos are (20 to a video). Prints
one JSON line a size: seconds of a cold start of each kind (reading what a new process reads, then
one query), milliseconds of a query when warm (median), and the recall of the approximate one.
Times are those of the processor, all threads together: others may be at work on the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Moments, Video
from tempme.index.search import Request, Scan, search_approximately
from tempme.index.stores.lance import LanceStore

WIDTH, MOMENTS_PER_VIDEO, VIDEOS_PER_TOPIC = 512, 20, 50
QUERIES = 20


def unit(rows: NDArray[np.float64]) -> NDArray[np.float16]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def fill(store: LanceStore, num_moments: int) -> NDArray[np.float32]:
    """Write the moments; the queries: topics with something of their own."""
    random = np.random.default_rng(0)
    num_topics = max(1, num_moments // MOMENTS_PER_VIDEO // VIDEOS_PER_TOPIC)
    topics = random.standard_normal((num_topics, WIDTH))
    starts = np.arange(MOMENTS_PER_VIDEO) * 6.0
    spans = np.stack([starts, starts + 12.0], axis=1)
    for start in range(0, num_moments // MOMENTS_PER_VIDEO, 2000):
        rows, contents = [], []
        for i in range(start, min(start + 2000, num_moments // MOMENTS_PER_VIDEO)):
            video = topics[i % num_topics] + 0.7 * random.standard_normal(WIDTH)
            own = video + 0.5 * random.standard_normal((MOMENTS_PER_VIDEO, WIDTH))
            rows.append(Video(Path(f"/films/{i}.mp4"), f"{i:032d}", 1, 1, num_moments=20))
            contents.append(Moments(rows[-1].digest, spans, unit(own)))
        store.put(rows, contents)
    queries = topics[random.integers(0, num_topics, QUERIES)]
    return unit(queries + 0.8 * random.standard_normal(queries.shape)).astype(np.float32)


def seconds_of(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(num_moments: int) -> dict[str, float]:
    request = Request(k=10)
    with tempfile.TemporaryDirectory() as folder:
        store = LanceStore(Path(folder), features=WIDTH, index_from=10**12)
        queries = fill(store, num_moments)
        store.tidy()
        begin = time.process_time()
        scan = Scan(store.gallery())
        exact = scan.hits(queries[:1], request)
        cold_exact = time.process_time() - begin
        warm_exact = [seconds_of(lambda q=q: scan.hits(q[None], request)) for q in queries]
        store.index_from = 1
        build = seconds_of(store.tidy)
        cold = seconds_of(lambda: search_approximately(store, queries[:1], request))
        warm, recall = [], []
        for query in queries:
            begin = time.process_time()
            near = search_approximately(store, query[None], request)
            warm.append(time.process_time() - begin)
            exact = scan.hits(query[None], request)
            recall.append(
                len({h.video_id for h in near} & {h.video_id for h in exact}) / len(exact)
            )
    return {
        "moments": num_moments,
        "exact_cold_seconds": round(cold_exact, 3),
        "exact_warm_ms": round(1e3 * statistics.median(warm_exact), 1),
        "index_build_seconds": round(build, 1),
        "index_cold_seconds": round(cold, 3),
        "index_warm_ms": round(1e3 * statistics.median(warm), 1),
        "index_recall_at_10": round(statistics.mean(recall), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000])
    for size in parser.parse_args().sizes:
        print(json.dumps({"machine": platform.machine(), **measure(size)}), flush=True)


if __name__ == "__main__":
    main()
