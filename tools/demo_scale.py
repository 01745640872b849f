"""`make demo-scale`: Ray, object storage and Milvus on this machine, with deaths in the middle.

Generated videos are indexed through Ray into shards in an S3 server. While that goes on, a worker
is killed, then the run itself; the same command goes on and finishes. An index in a folder, one in
object storage and one on a Milvus server are made of the shards, and give the same hits with the
same scores as one another, and as an index that was made directly, up to rounding.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loopback import BUCKET, descendants, environment, is_alive, milvus_server, s3_server
from tempme.index.shards.opening import open_shards

VIDEOS = 16
QUERIES = ("a red circle", "a blue square moves to the left", "a green triangle")
SHARDS = f"s3://{BUCKET}/shards"
# Two runs of a model in bf16 on another number of threads differ by as much.
ROUNDING = 5e-3
PATIENCE_SECONDS = 300.0
# One that reads, while there is one: it ends when all is read, and on one core one does both.
WORKERS = ("ReadingActor", "MakingActor", "EncodingActor")


def main() -> None:
    """Do it all in a folder that is gone afterwards; exit 1 where anything is not as it should."""
    with tempfile.TemporaryDirectory(prefix="tempme-") as scratch:
        folder = Path(scratch)
        with s3_server() as told, milvus_server(folder / "milvus") as address:
            os.environ.update(told, XDG_CACHE_HOME=str(folder / "cache"))
            _demo(folder, f"milvus://{address}/films")


def _demo(folder: Path, milvus: str) -> None:
    videos = folder / "videos"
    _tempme("data", "scenes", "--out", videos, "--count", VIDEOS, "--size", 128)
    words = ("index", videos, "--shards", SHARDS, "--on", "ray", "--model", "scenes-tiny")
    _kill_in_the_middle(words)
    _say(_tempme(*words).stdout)
    shards = open_shards(SHARDS)
    _check(len(shards.digests()) == VIDEOS, f"{VIDEOS} shards")
    _check(all(map(shards.is_done, shards.digests())), "every shard is whole")
    found = {}
    for uri in (str(folder / "local.tempme"), f"s3://{BUCKET}/index", milvus):
        _say(_tempme("store", "load", SHARDS, "--index", uri).stdout)
        found[uri] = _hits(uri)
    first, *others = found.values()
    _check(all(other == first for other in others), "the same hits and scores in all three stores")
    direct = folder / "direct.tempme"
    _tempme("index", videos, "--index", direct, "--model", "scenes-tiny")
    _check(_are_near(first, _hits(str(direct))), "the same as an index made directly")


def _kill_in_the_middle(words: tuple[object, ...]) -> None:
    """Kill a worker once there is a shard, and the run once there are more."""
    with subprocess.Popen(_command(words), env=environment({}), stderr=subprocess.DEVNULL) as run:
        _until(lambda: _num_shards() >= 1, run)
        workers = descendants(run.pid)
        kinds = [pid for kind in WORKERS for pid, told in workers.items() if kind in told]
        _check(bool(kinds), "there are workers of Ray")
        os.kill(kinds[0], signal.SIGKILL)
        _say("killed a worker")
        before = _num_shards()
        _until(lambda: _num_shards() > before, run)
        left = descendants(run.pid)
        _check(run.poll() is None, "the run goes on without it")
        run.kill()
        _say(f"killed the run at {_num_shards()} of {VIDEOS} shards")
    _until(lambda: not any(map(is_alive, left)))
    _say("nothing of it is left")


def _num_shards() -> int:
    try:
        return len(open_shards(SHARDS).digests())
    except Exception:  # not begun yet
        return 0


def _until(is_so: Callable[[], bool], run: subprocess.Popen[Any] | None = None) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end or (run is not None and run.poll() is not None):
            raise SystemExit("the run ended, or did nothing, before it could be killed")
        time.sleep(0.05)


def _hits(uri: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for query in QUERIES:
        told = _tempme("search", query, "--index", uri, "--moments", "--json").stdout
        found += json.loads(told)["hits"]
    return found


def _are_near(found: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    scores = [
        {(hit["moment_id"], n // 10): hit["score"] for n, hit in enumerate(hits)}
        for hits in (found, other)
    ]
    shared = scores[0].keys() & scores[1].keys()
    return len(shared) > 0 and all(
        abs(scores[0][key] - scores[1][key]) < ROUNDING for key in shared
    )


def _tempme(*words: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(_command(words), env=environment({}), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"tempme {' '.join(map(str, words))}\n{done.stderr}")
    return done


def _command(words: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)]


def _check(is_so: bool, what: str) -> None:
    _say(f"{'yes' if is_so else 'NO'}: {what}")
    if not is_so:
        raise SystemExit(1)


def _say(text: str) -> None:
    print(text.strip(), flush=True)


if __name__ == "__main__":
    main()
