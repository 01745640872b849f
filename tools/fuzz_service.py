"""Draw requests from the OpenAPI document of a real service; every one has to get an answer.

schemathesis makes them, valid and not; the service runs on a small index of generated videos.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tempme.index import Index
from tempme.scenes import scenes, write_video
from tempme.serving.running import server_of
from tempme.serving.settings import ServeSettings

CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"
VIDEOS = 4


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
        server = server_of(index, ServeSettings(port=0))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                *("run", f"{server.address}/openapi.json", "--no-color"),
                *("--checks", CHECKS, "--seed", str(given.seed)),
                *("--max-examples", str(given.cases)),
            ],
            check=False,
        )
        server.should_exit = True
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
