"""Several machines write to one store at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from loopback import BUCKET, environment
from store_kinds import Make, in_objects, on_milvus, on_standalone
from tempme.index.stores.milvus import MilvusStore

NAME = "films"

TWO = """
import sys, pathlib, tempfile
sys.path[:0] = {path!r}
from store_kinds import *
kind, address, name, first = sys.argv[1:]
folder = pathlib.Path(tempfile.mkdtemp())
if kind == "s3":
    store = ObjectStore(Place.of(address), folder, features=WIDTH, index_from=NEVER)
else:
    store = MilvusStore(MilvusServer(Address.of(address)), folder, features=WIDTH, index_from=NEVER)
for number in range(int(first), int(first) + 12):
    digest = f"d{{number:02d}}"
    store.put([video(f"{{digest}}.mp4", digest)], [moments_of(digest)])
    store.sweep()
"""


@pytest.fixture(params=["s3", "milvus-lite", "milvus"])
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    stores = {"s3": in_objects, "milvus-lite": on_milvus, "milvus": on_standalone}
    with stores[request.param](tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.mark.slow
def test_two_writers_at_once_lose_nothing(make: Make) -> None:
    """The two write and sweep at the same time, eight videos of which both have the same."""
    store = make(NAME)
    if isinstance(store, MilvusStore):
        words = ["milvus", store.server.address.shown]
    else:
        words = ["s3", f"s3://{BUCKET}/{NAME}"]
    program = TWO.format(path=sys.path)
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, *words, NAME, str(first)],
            env=environment({}),
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 4)
    ]
    for process in both:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
    fresh = make(NAME)
    assert [row.digest for row in fresh.videos() if row.status == "ok"] == [
        f"d{number:02d}" for number in range(16)
    ]
    assert (len(fresh.gallery()), fresh.num_moments()) == (48, 48)
    assert not fresh.check()
