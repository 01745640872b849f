"""Draw requests from the OpenAPI document of a real service; every one has to get an answer.

schemathesis makes them, valid and not; the service runs on a small index of generated videos. None
may fail in the service, and none may take --timeout seconds. Its phases run one after the other:
examples of the document, what covers every limit of it, what is drawn, and chains of requests that
use what earlier ones answered. Prints how many were answered in each, and with --out writes it.

10,000 requests take some ten minutes on two cores. Chains cost most, as each of them is checked
against all links between operations, so their number is bounded by itself.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tempme.index import Index
from tempme.results.runs import machine
from tempme.scenes import scenes, write_video
from tempme.serving.running import server_of
from tempme.serving.settings import ServeLimits, ServeSettings

CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"
VIDEOS = 4
PHASES = ("examples", "coverage", "fuzzing", "stateful")
MOST_CHAINS = 100


def main() -> int:
    """The exit code of schemathesis: 0 where nothing was found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cases", type=int, default=700, help="per operation (700)")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--timeout", type=float, default=10, help="of an answer, in seconds (10)")
    asked.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES)
    asked.add_argument("--out", type=Path, help="write the counts there, as JSON")
    given = asked.parse_args()
    rows, found = [], 0
    with tempfile.TemporaryDirectory() as folder:
        server = _started(Path(folder))
        for phase in given.phases:
            row, code = _drawn(server.address, phase, given)
            rows.append(row)
            found = found or code
        server.should_exit = True
    total = sum(row["requests"] for row in rows)
    failed = sum(row["server_errors"] for row in rows)
    print(f"{total:,} requests answered, {failed} of them with a server error")
    if given.out:
        told = {"machine": machine(), "seed": given.seed, "cases": given.cases, "rows": rows}
        given.out.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return found or int(failed > 0)


def _started(folder: Path) -> Any:
    """A server over an index of a few videos."""
    videos = folder / "videos"
    videos.mkdir()
    for scene in scenes(VIDEOS, part="static", split="test", seed=1):
        write_video((scene,), videos / f"{scene.id}.mp4", size=64, fps=8, codec="libx264")
    index = Index.open(folder / "a.tempme", retriever="scenes-tiny", create=True)
    index.add(videos)
    settings = ServeSettings(port=0, limits=ServeLimits(quiet_seconds=1))
    server = server_of(index, settings)
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return server


def _drawn(address: str, phase: str, given: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """What one phase came to, and the exit code."""
    before, begin = _counted(address), time.monotonic()
    cases = min(given.cases, MOST_CHAINS) if phase == "stateful" else given.cases
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{address}/openapi.json", "--no-color", "--phases", phase),
            *("--checks", CHECKS, "--seed", str(given.seed)),
            *("--max-examples", str(cases)),
            *("--request-timeout", str(given.timeout)),
        ],
        check=False,
    )
    statuses = _counted(address) - before
    row = {
        "phase": phase,
        "requests": sum(statuses.values()),
        "server_errors": sum(count for status, count in statuses.items() if status >= 500),
        "by_status": {str(status): statuses[status] for status in sorted(statuses)},
        "findings": done.returncode != 0,
        "seconds": round(time.monotonic() - begin, 1),
    }
    print(json.dumps(row), flush=True)
    return row, done.returncode


def _counted(address: str) -> Counter[int]:
    """Answers by status."""
    with urlopen(f"{address}/metrics", timeout=60) as answer:
        told = answer.read().decode()
    counted: Counter[int] = Counter()
    for status, count in re.findall(r'tempme_requests_total{.*status="(\d+)"} ([\d.]+)', told):
        counted[int(status)] += int(float(count))
    return counted


if __name__ == "__main__":
    sys.exit(main())
