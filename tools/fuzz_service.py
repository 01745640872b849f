"""Draw requests from the OpenAPI document of a real service; every one has to get an answer.

schemathesis makes them, valid and not; the service runs on a small index of generated videos. None
may fail in the service, and none may take `TIMEOUT_SECONDS`. Prints how many were answered.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

from tempme.index import Index
from tempme.scenes import scenes, write_video
from tempme.serving.running import server_of
from tempme.serving.settings import ServeLimits, ServeSettings

CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"
VIDEOS = 4
TIMEOUT_SECONDS = 10


def main() -> int:
    """The exit code of schemathesis: 0 where nothing was found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--cases", type=int, default=700, help="per operation (700)")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        videos.mkdir()
        for scene in scenes(VIDEOS, part="static", split="test", seed=1):
            write_video((scene,), videos / f"{scene.id}.mp4", size=64, fps=8, codec="libx264")
        index = Index.open(Path(folder) / "a.tempme", retriever="scenes-tiny", create=True)
        index.add(videos)
        settings = ServeSettings(port=0, limits=ServeLimits(quiet_seconds=1))
        server = server_of(index, settings)
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        found = _drawn(server.address, given)
        counted = _counted(server.address)
        server.should_exit = True
    failed = sum(count for status, count in counted.items() if status >= 500)
    print(f"{sum(counted.values()):,} requests answered, {failed} of them with a server error")
    return found or int(failed > 0)


def _drawn(address: str, given: argparse.Namespace) -> int:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{address}/openapi.json", "--no-color"),
            *("--checks", CHECKS, "--seed", str(given.seed)),
            *("--max-examples", str(given.cases)),
            *("--request-timeout", str(TIMEOUT_SECONDS)),
        ],
        check=False,
    )
    return done.returncode


def _counted(address: str) -> dict[int, int]:
    """Answers by status."""
    with urlopen(f"{address}/metrics", timeout=60) as answer:
        told = answer.read().decode()
    counted: Counter[int] = Counter()
    for status, count in re.findall(r'tempme_requests_total{.*status="(\d+)"} ([\d.]+)', told):
        counted[int(status)] += int(float(count))
    return counted


if __name__ == "__main__":
    sys.exit(main())
