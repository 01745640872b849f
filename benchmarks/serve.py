"""Searches per second of a running service, and how long they take, on generated moments.

100,000 moments of random features, the text encoder of ViT-B/32 with random weights (its cost does
not depend on them), no query asked twice; 1, 10 and 50 clients, with a filter and without. Clients
ask again as soon as they are answered, which shows what the service can do at most; with `rate`
they ask so many times a second together, whatever comes back, which shows how long people wait.
Everything runs on this machine: the clients are connections of one other process. `load` is that of
the machine before a row is measured (processes that ran or waited in the last minute): the work of
others shows in it, and not in `cpu_ms`, what the service computes for a search on all cores, nor in
`client_cpu_ms`, what asking for it costs on the same cores. Writes results/benchmarks/serve.json,
in some five minutes.

    python benchmarks/serve.py [--seconds 20] [--rate-seconds 60] [--clients 1 10 50] [--rate 50]
                               [--moments 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `tempme serve` does

import numpy as np

from tempme import Retriever, system
from tempme.index import Index
from tempme.index.moments import Moments, Video
from tempme.results.runs import machine
from tempme.serving.running import server_of
from tempme.serving.settings import ServeSettings

MOMENTS_A_VIDEO = 20
SECONDS = 60.0
"""Until a client gives up."""
HEAD = (
    b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)
WORDS = ("red", "blue", "green", "small", "large", "old", "wooden", "dog", "cat", "car", "boat")
WORDS += ("horse", "man", "woman", "child", "runs", "jumps", "sleeps", "falls", "turns", "over")
WORDS += ("under", "near", "behind", "lake", "tree", "house", "street", "snow", "rain", "night")
WORDS_A_QUERY = 8
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "a tenth": {"max_duration_seconds": 30.5},
}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=20.0, help="of a row without a rate")
    asked.add_argument("--rate-seconds", type=float, default=60.0)
    asked.add_argument("--clients", type=int, nargs="+", default=[1, 10, 50])
    asked.add_argument("--rate", type=float, default=50.0)
    asked.add_argument("--moments", type=int, default=100_000)
    asked.add_argument("--out", type=Path, default=Path("results/benchmarks/serve.json"))
    asked.add_argument("--load", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.load:
        print(json.dumps(asyncio.run(_load(json.loads(given.load)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = _measured(_index(Path(folder), given.moments), given)
    told = {"machine": machine(), "moments": given.moments, "rows": rows}
    given.out.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _measured(index: Index, given: argparse.Namespace) -> list[dict[str, Any]]:
    server = server_of(index, ServeSettings(port=0))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    port = int(server.address.rsplit(":", 1)[1])
    asyncio.run(_warm(port))
    rows = []
    loads: list[tuple[int, float]] = [(clients, 0.0) for clients in given.clients]
    for name, filters in FILTERS.items():
        for clients, rate in [*loads, (max(given.clients), given.rate)]:
            seconds = given.rate_seconds if rate else given.seconds
            load = {"port": port, "clients": clients, "seconds": seconds, "filters": filters}
            load |= {"rate": rate, "begin": time.time_ns()}
            busy, cpu = round(os.getloadavg()[0], 1), time.process_time()
            words = [sys.executable, __file__, "--load", json.dumps(load)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            row = {"filter": name, "clients": clients, "rate": rate or None, "load": busy}
            row |= json.loads(done.stdout)
            row["cpu_ms"] = round(1000 * (time.process_time() - cpu) / max(1, row["searches"]), 1)
            rows.append(row)
            print(json.dumps(rows[-1]))
    server.should_exit = True
    return rows


def _index(folder: Path, num_moments: int) -> Index:
    """An index of random features, made by the store itself."""
    retriever = Retriever.build(system("tempme"), None, seed=0)
    index = Index.create(folder / "a.tempme", retriever)
    rng = np.random.default_rng(0)
    videos, moments = [], []
    for number in range(num_moments // MOMENTS_A_VIDEO):
        features = rng.standard_normal((MOMENTS_A_VIDEO, retriever.feature_size)).astype(np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        start = 6.0 * np.arange(MOMENTS_A_VIDEO)
        digest = f"{number:032x}"
        spans = np.stack([start, start + 12], axis=1)
        moments.append(Moments(digest, spans, features.astype(np.float16)))
        videos.append(
            Video(
                folder / f"{number}.mp4",
                digest,
                1,
                1,
                duration_seconds=30.0 + number % 10,
                num_moments=MOMENTS_A_VIDEO,
            )
        )
    index._store.put(videos, moments)
    index._store.tidy()
    return index


async def _load(asked: dict[str, Any]) -> dict[str, Any]:
    """What so many clients measure; those with a rate wait their turn, the others do not wait."""
    times: list[float] = []
    errors: list[str] = []
    begin, cpu = time.monotonic(), time.process_time()
    end = begin + asked["seconds"]
    turns = itertools.count()

    async def client(number: int) -> None:
        words = random.Random(f"{asked['begin']}/{number}")
        connection = Connection(asked["port"])
        while True:
            # Who asks late because answers are late has waited for that, too.
            start = begin + next(turns) / asked["rate"] if asked["rate"] else time.monotonic()
            if start >= end:
                return
            await asyncio.sleep(max(0.0, start - time.monotonic()))
            query = " ".join(words.choices(WORDS, k=WORDS_A_QUERY))
            try:
                await asyncio.wait_for(connection.ask(query, asked["filters"]), SECONDS)
                times.append(time.monotonic() - start)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
                connection = Connection(asked["port"])

    await asyncio.gather(*map(client, range(asked["clients"])))
    return {
        "searches": len(times),
        "searches_per_second": round(len(times) / (time.monotonic() - begin), 1),
        "p50_ms": round(1000 * float(np.quantile(times, 0.5)), 1) if times else None,
        "p99_ms": round(1000 * float(np.quantile(times, 0.99)), 1) if times else None,
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "client_cpu_ms": round(1000 * (time.process_time() - cpu) / max(1, len(times)), 1),
    }


class Connection:
    """A client that is kept alive and does no more than it has to: it shares the cores."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, query: str, filters: dict[str, Any]) -> None:
        """Search; RuntimeError for any answer but hits."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps({"query": query, "k": 10, "filters": filters}).encode()
        writer.write(HEAD % (self._port, len(body)) + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        told = await reader.readexactly(length)
        if not (head.startswith(b"http/1.1 200 ") and told.startswith(b'{"hits":[{')):
            raise RuntimeError(f"{head[:60]!r}: {told[:200]!r}")


async def _warm(port: int) -> None:
    await asyncio.wait_for(Connection(port).ask("warm up", {}), 600)


if __name__ == "__main__":
    main()
