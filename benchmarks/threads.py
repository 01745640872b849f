"""Who has the cores while an index is made: alone, and beside other busy processes.

In turns, a process each: `tempme index` as it is; with all threads for the model, which burn their
cores while they wait (the defaults of PyTorch, and of this program before it shared cores); and
with one thread. Wall and CPU seconds of the whole command, workers counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tempme.processes.cores import num_cores
from tempme.results.runs import environment, machine, write

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("tempme")
BUSY = "while True: pass"
WAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "shared (the default)": ({}, []),
    "all threads, waiting busily": (
        {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "10000000000"},
        ["--threads", str(num_cores())],
    ),
    "one thread": ({}, ["--threads", "1"]),
}


def seconds_of(videos: list[Path], model: str, way: str) -> tuple[float, float]:
    """Wall and CPU seconds."""
    settings, options = WAYS[way]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(str(PROGRAM), "index", *map(str, videos)),
            *("--index", f"{folder}/index", "--model", model, "--json", *options),
        ]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, env=os.environ | settings, capture_output=True)
        wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr.decode())
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used


def measure(videos: list[Path], model: str, *, busy: int, rounds: int) -> dict[str, Any]:
    """Medians of all ways beside so many busy processes."""
    told: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with ExitStack() as others:
        for _ in range(busy):
            other = others.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
            others.callback(other.kill)
        for _ in range(rounds):
            for way, seconds in told.items():
                seconds.append(seconds_of(videos, model, way))
    rows: dict[str, Any] = {}
    for way, seconds in told.items():
        wall, used = (statistics.median(column) for column in zip(*seconds, strict=True))
        rows[way] = {"wall_seconds": round(wall, 2), "cpu_seconds": round(used, 2)}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    clips = ROOT.parent / "shared" / "videos"
    parser.add_argument("videos", nargs="*", type=Path, default=[clips])
    parser.add_argument("--model", default="scenes-tiny")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    report: dict[str, Any] = {
        **{key: environment()[key] for key in ("machine", "commit")},
        "load_average": round(os.getloadavg()[0], 1),
        "model": asked.model,
        "rounds": asked.rounds,
    }
    for busy in (0, 1):
        report[f"beside {busy} busy"] = rows = measure(
            asked.videos, asked.model, busy=busy, rounds=asked.rounds
        )
        print(json.dumps({f"beside {busy} busy": rows}, indent=1), flush=True)
    write(report, ROOT / "results" / "benchmarks" / f"threads-{machine()}.json")


if __name__ == "__main__":
    main()
