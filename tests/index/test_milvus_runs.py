"""Whole runs on Milvus itself: its server killed in the middle, two runs at once, files that go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from far_servers import needs_standalone
from loopback import environment, milvus_standalone
from tempme.index.stores.milvus_collections import moments_schema
from tempme.index.stores.milvus_server import Address, MilvusServer
from tempme.scenes.recording import write

pytestmark = pytest.mark.slow

QUERY = "a red circle"
PATIENCE_SECONDS = 600


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_standalone()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def started(*words: object, **told: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(told),
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, out + err
    return out if code == 0 else err


def tempme(*words: object, code: int = 0) -> str:
    return ended(started(*words), code)


def scores(index: object, *more: object) -> dict[tuple[str, str], float]:
    found: list[dict[str, Any]] = json.loads(
        tempme("search", QUERY, "--index", index, "-k", 50, "--json", *more)
    )["hits"]
    return {(hit["path"], hit["video_id"]): hit["score"] for hit in found}


def wait_until_begun(uri: str, run: subprocess.Popen[str]) -> None:
    """Until a run has made its collections, and has said in them what the index is."""
    server, end = MilvusServer(Address.of(uri)), time.monotonic() + PATIENCE_SECONDS
    while server.about() is None:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def is_one_line(said: str, uri: str) -> bool:
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    return len(errors) == 1 and uri in errors[0] and "Traceback" not in said


def test_a_run_goes_on_where_its_server_was_killed(tmp_path: Path) -> None:
    videos, more, local = (tmp_path / name for name in ("videos", "more", "local.tempme"))
    write(8, videos, seed=0, size=64)
    write(2, more, seed=1, size=64)
    shards, model = tmp_path / "shards", ("--model", "scenes-tiny")
    tempme("index", videos, "--shards", shards, *model)
    tempme("store", "load", shards, "--index", local)
    wanted = scores(local)
    assert len(wanted) == 8

    with milvus_standalone(tmp_path / "milvus") as (address, process):
        import pymilvus

        half = MilvusServer(Address.of(f"milvus://{address}/half"))
        schema = moments_schema(pymilvus, half.client, 2)
        half.client.create_collection(half.videos, schema=schema)
        assert half.about() is None  # as one sees it whom the maker of an index is just ahead of
        uri = f"milvus://{address}/films"
        run = started("store", "load", shards, "--index", uri)
        wait_until_begun(uri, run)
        os.kill(process.pid, signal.SIGKILL)
        assert is_one_line(ended(run, code=1), uri)
        assert is_one_line(tempme("search", QUERY, "--index", uri, code=1), uri)

    with milvus_standalone(tmp_path / "milvus", port=int(address.rpartition(":")[2])):
        tempme("store", "load", shards, "--index", uri)
        assert scores(uri) == wanted
        few = next(iter(wanted))[0]
        assert scores(uri, "--under", videos) == wanted

        # Two machines at once: one has new videos, the other takes a file out.
        both = [
            started("index", more, "--index", uri),
            started("forget", few, "--index", uri, XDG_CACHE_HOME=str(tmp_path / "other")),
        ]
        for one in both:
            ended(one)
        left = {path for path, _ in scores(uri)}
        assert left == {path for path, _ in wanted} - {few} | {
            str(one) for one in more.iterdir() if one.suffix == ".mp4"
        }

        old, gone = sorted(more.glob("*.mp4"))
        new = old.rename(more / "another name.mp4")
        gone.unlink()
        tempme("index", more, "--index", uri, "--prune")
        assert {path for path, _ in scores(uri)} == left - {str(old), str(gone)} | {str(new)}
