"""Stores of every kind, empty, and rows to put into them."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from far_servers import needs_client, needs_milvus, needs_s3, needs_standalone
from loopback import BUCKET, milvus_server, milvus_standalone, s3_server
from tempme.index.moments import Moments, Video
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.milvus import MilvusStore
from tempme.index.stores.milvus_server import About, Address, MilvusServer
from tempme.index.stores.objects import ObjectStore
from tempme.index.stores.places import Place
from tempme.index.stores.store import Store

WIDTH = 32
NEVER = 10**9
NUMBERS = itertools.count()
RUNNING_MILVUS = "TEMPME_TEST_MILVUS"

Make = Callable[..., Store]
"""A store by name; the same name is the same rows."""


@contextmanager
def in_folder(folder: Path) -> Iterator[Make]:
    def make(name: str, *, index_from: int = NEVER) -> Store:
        (folder / name).mkdir(exist_ok=True)
        return LanceStore(folder / name, features=WIDTH, index_from=index_from)

    yield make


@contextmanager
def in_objects(folder: Path) -> Iterator[Make]:
    needs_s3()

    def make(name: str, *, index_from: int = NEVER) -> Store:
        place = Place.of(f"s3://{BUCKET}/{name}")
        return ObjectStore(place, new(folder), features=WIDTH, index_from=index_from)

    with s3_server() as told, pytest.MonkeyPatch.context() as patch:
        for variable, value in told.items():
            patch.setenv(variable, value)
        yield make


@contextmanager
def on_milvus(folder: Path) -> Iterator[Make]:
    needs_milvus()
    with milvus_server(folder / "milvus") as address:
        yield making_on(address, folder)


@contextmanager
def on_standalone(folder: Path) -> Iterator[Make]:
    """On Milvus itself: the one at TEMPME_TEST_MILVUS (host:port), or one that is started here."""
    address = os.environ.get(RUNNING_MILVUS)
    if address:
        needs_client()
        prefix = f"test_{secrets.token_hex(4)}_"
        yield making_on(address, folder, prefix=prefix)
        client = MilvusServer(Address.of(f"milvus://{address}/films")).client
        for name in client.list_collections():
            if name.startswith(prefix):
                client.drop_collection(name)
        return
    needs_standalone()
    with milvus_standalone(folder / "standalone") as (address, _):
        yield making_on(address, folder)


def making_on(address: str, folder: Path, *, prefix: str = "") -> Make:
    def make(name: str, *, index_from: int = NEVER) -> Store:
        server = MilvusServer(Address.of(f"milvus://{address}/{prefix}{name}"))
        if server.about() is None:
            server.begin(About("{}", ""), features=WIDTH)
        return MilvusStore(server, new(folder), features=WIDTH, index_from=index_from)

    return make


def new(folder: Path) -> Path:
    """A folder of this machine for one who opens a store."""
    path = folder / f"opened-{next(NUMBERS)}"
    path.mkdir()
    return path


def moments_of(digest: str, windows: int = 3) -> Moments:
    random = np.random.default_rng(list(digest.encode()))
    features = random.standard_normal((windows, WIDTH))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    starts = np.arange(windows, dtype=np.float64) / 3
    return Moments(digest, np.stack([starts, starts + 2], axis=1), features.astype(np.float16))


def video(path: str, digest: str, windows: int = 3, **rest: object) -> Video:
    checksum = moments_of(digest, windows).checksum
    return Video(
        Path("/films") / path, digest, 10, 20, num_moments=windows, checksum=checksum, **rest
    )  # type: ignore[arg-type]
