"""Milvus itself: tokens, TLS, its end in the middle of the work, and what others did to it."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from far_servers import needs_standalone
from loopback import environment, milvus_standalone
from store_kinds import WIDTH, making_on, moments_of, new, video
from tempme.errors import BadIndex
from tempme.index.stores.milvus import MilvusStore
from tempme.index.stores.milvus_collections import GRAPH, moments_schema
from tempme.index.stores.milvus_server import About, Address, MilvusServer
from tempme.index.stores.store import Store

pytestmark = pytest.mark.slow

PASSWORD = "root:Milvus"
SECURE = ("authorization_enabled=true", "tls_mode=1")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needs_standalone()
    with milvus_standalone(tmp_path_factory.mktemp("plain") / "milvus") as (address, _):
        yield address


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with tokens and TLS, and the certificate that it signed itself."""
    needs_standalone()
    folder = tmp_path_factory.mktemp("secure")
    certificate, key = signed_by_itself(folder)
    files = (f"server_pem_path={certificate}", f"server_key_path={key}")
    with milvus_standalone(folder / "milvus", *SECURE, *files) as (address, _):
        yield address.replace("127.0.0.1", "localhost"), certificate


def signed_by_itself(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "server.pem", folder / "server.key"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key


def search(uri: str, **told: str) -> str:
    """What `tempme search` of an index that is not there says, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", "search", "a", "-i", uri],
        env=environment(told),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*\n", done.stderr), done.stderr
    return done.stderr


def test_a_server_takes_token_and_certificate(
    secure: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, certificate = secure
    monkeypatch.setenv("TEMPME_MILVUS_TOKEN", PASSWORD)
    monkeypatch.setenv("TEMPME_MILVUS_CA", str(certificate))
    server = MilvusServer(Address.of(f"milvus+tls://{address}/films"))
    server.begin(About("{}", ""), features=WIDTH)
    store = MilvusStore(server, new(tmp_path), features=WIDTH, index_from=1)
    store.put([video("a.mp4", "d1"), video("b.mp4", "d2")], [moments_of("d1"), moments_of("d2")])
    assert store.nearest(moments_of("d2").features[0].astype(np.float32), 2)[0] == "d2"


@pytest.mark.parametrize(
    ("scheme", "token", "trusts", "said"),
    [
        ("milvus+tls", PASSWORD, True, "is not an index"),
        ("milvus+tls", "root:not this one", True, "TEMPME_MILVUS_TOKEN is wrong or missing"),
        ("milvus+tls", "", True, "TEMPME_MILVUS_TOKEN is wrong or missing"),
        ("milvus+tls", PASSWORD, False, "TEMPME_MILVUS_CA"),
        ("milvus", PASSWORD, True, "milvus+tls://"),
    ],
)
def test_what_is_wrong_with_token_or_certificate_is_one_line(
    secure: tuple[str, Path], scheme: str, token: str, trusts: bool, said: str
) -> None:
    address, certificate = secure
    told = {"TEMPME_MILVUS_TOKEN": token, "TEMPME_MILVUS_CA": str(certificate) if trusts else ""}
    line = search(f"{scheme}://{address}/nothing", **told)
    assert said in line
    assert not token or token not in line


def test_a_certificate_that_is_no_file_is_named(secure: tuple[str, Path]) -> None:
    line = search(f"milvus+tls://{secure[0]}/films", TEMPME_MILVUS_CA="/none/ca.pem")
    assert "/none/ca.pem" in line


def test_tls_to_a_server_without_is_one_line(plain: str) -> None:
    assert "without TLS; write milvus://" in search(f"milvus+tls://{plain}/films")


def put_without_end(store: Store, put: list[str], half: threading.Event) -> None:
    for number in itertools.count():
        digest = f"d{number:05d}"
        store.put([video(f"{digest}.mp4", digest)], [moments_of(digest)])
        put.append(digest)
        if number == 8:
            half.set()


def test_nothing_is_lost_when_a_server_is_killed(tmp_path: Path) -> None:
    needs_standalone()
    folder, put = tmp_path / "milvus", []
    with milvus_standalone(folder) as (address, process):
        store = making_on(address, tmp_path)("films")
        half = threading.Event()

        def kill() -> None:
            half.wait()
            os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(BadIndex, match="look whether the server runs there"):
            put_without_end(store, put, half)
        killer.join()
        with pytest.raises(BadIndex, match="look whether the server runs there"):
            store.nearest(moments_of("d1").features[0].astype(np.float32), 2)
    with milvus_standalone(folder, port=int(address.rpartition(":")[2])):
        # The same client goes on, as that of a service does.
        assert {row.digest for row in store.videos() if row.status == "ok"} >= set(put)
        late = f"d{len(put):05d}"
        store.put([video(f"{late}.mp4", late)], [moments_of(late)])
        store.sweep()
        assert set(store.gallery().contents) == {*put, late}
        assert store.num_moments() == 3 * (len(put) + 1)


def test_what_a_killed_run_began_is_made_whole(plain: str, tmp_path: Path) -> None:
    """Collections are made in steps: a collection, its indexes, and it in memory."""
    import pymilvus

    for steps in (1, 2):
        server = MilvusServer(Address.of(f"milvus://{plain}/half{steps}"))
        made, name = server.client, f"half{steps}"
        made.create_collection(name, schema=moments_schema(pymilvus, made, WIDTH))
        if steps == 2:
            indexes = made.prepare_index_params()
            indexes.add_index("feature", index_type="HNSW", metric_type="IP", params=GRAPH)
            made.create_index(name, indexes)
        store = making_on(plain, tmp_path)(name)
        store.put([video("a.mp4", "d1")], [moments_of("d1")])
        assert store.gallery().contents == ("d1",)
        assert set(made.list_indexes(name)) == {"feature", "video"}


def test_makers_and_a_reader_at_once_are_not_in_each_others_way(plain: str) -> None:
    """A reader loads what is not in memory, and one that is in memory takes no more indexes."""
    with ThreadPoolExecutor(6) as pool:
        for number in range(3):
            address = Address.of(f"milvus://{plain}/at_once{number}")
            reader = MilvusServer(address)
            makers = [
                pool.submit(MilvusServer(address).begin, About("{}", ""), features=WIDTH)
                for _ in range(3)
            ]
            while not all(maker.done() for maker in makers):
                reader.about()
            for maker in makers:
                maker.result()
            told = reader.about()
            assert told is not None
            assert told.header == "{}"


def test_a_collection_that_somebody_released_is_loaded_again(plain: str, tmp_path: Path) -> None:
    store = making_on(plain, tmp_path)("released", index_from=1)
    assert isinstance(store, MilvusStore)
    store.put([video("a.mp4", "d1")], [moments_of("d1")])
    for name in (store.server.moments, store.server.videos):
        store.server.client.release_collection(name)
    assert store.nearest(moments_of("d1").features[0].astype(np.float32), 2) == ["d1"]
    assert [row.digest for row in store.videos()] == ["d1"]


def test_a_row_given_twice_in_one_write_is_one(plain: str, tmp_path: Path) -> None:
    store = making_on(plain, tmp_path)("twice")
    store.put([video("a.mp4", "d1"), video("a.mp4", "d1")], [moments_of("d1"), moments_of("d1")])
    assert (len(store.videos()), store.num_moments(), len(store.gallery())) == (1, 3, 3)


def test_a_database_that_is_not_there_is_one_line(plain: str) -> None:
    assert "nowhere" in search(f"milvus://{plain}/nowhere/films")
