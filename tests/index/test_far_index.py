"""An index in object storage or on a Milvus server answers as the one on this machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from far_servers import needs_milvus, needs_s3
from index_material import ColourRetriever, new_index
from loopback import BUCKET, environment, milvus_server, s3_server
from serving_processes import answer, serving
from tempme.errors import BadIndex, BadSetting, MissingExtra
from tempme.index import Index
from tempme.index.far import begin_far, open_far
from tempme.index.stores import milvus_server as milvus_server_module
from tempme.index.stores.milvus_server import About, Address, MilvusServer
from tempme.index.stores.milvus_version import check_version
from tempme.index.stores.places import Place
from tempme.scenes.recording import write

QUERY = "a red circle"
SECRET = "user:the password"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("far") / "videos"
    write(4, folder, seed=0, size=64)
    return folder


@pytest.fixture(scope="module")
def local(videos: Path, shards: str) -> Path:
    """The index of this machine that the others are held against."""
    folder = videos.parent / "local.tempme"
    tempme("store", "load", shards, "--index", folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An S3 server, which the variables of this process name, and a cache of its own."""
    needs_s3()
    with s3_server() as told, pytest.MonkeyPatch.context() as patch:
        for variable, value in told.items():
            patch.setenv(variable, value)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    needs_milvus()
    with milvus_server(tmp_path_factory.mktemp("milvus")) as address:
        yield address


@pytest.fixture(scope="module")
def shards(videos: Path, store: None) -> str:
    """Shards of the videos, in the store."""
    del store
    uri = f"s3://{BUCKET}/shards"
    tempme("index", videos, "--shards", uri, "--model", "scenes-tiny")
    return uri


def tempme(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment({"TEMPME_MILVUS_TOKEN": SECRET}),
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "password" not in said
    assert "the secret of the store" not in said
    return done


def hits(index: object) -> list[dict[str, Any]]:
    found = json.loads(tempme("search", QUERY, "--index", index, "--moments", "--json").stdout)
    return list(found["hits"])


def held_against(uri: str, local: Path, shards: str, videos: Path) -> None:
    """Load it, search it, serve it twice."""
    told = tempme("store", "load", shards, "--index", uri).stdout
    assert told.startswith(f"{uri}: 4 written")
    assert "4 unchanged" in tempme("store", "load", shards, "--index", uri).stdout
    assert hits(uri) == hits(local)
    under = json.loads(tempme("search", QUERY, "--index", uri, "--under", videos, "--json").stdout)
    assert len(under["hits"]) == 4
    status = json.loads(tempme("status", "--index", uri, "--json").stdout)
    assert (status["path"], status["num_videos"]) == (uri, 4)
    if uri.startswith("s3://"):
        lying = sum(listed.size_bytes for listed in Place.of(uri).files())
        assert (status["size_bytes"], status["is_copy"]) == (lying, False)
    else:
        assert status["is_copy"]
        assert "on this machine, a copy" in tempme("status", "--index", uri).stdout
    served_twice(uri, videos)


def served_twice(uri: str, videos: Path) -> None:
    """Two replicas see one another's writes, and nothing of a request stays in one of them."""
    with serving(uri, "--root", str(videos)) as (_, one), serving(uri) as (_, other):
        asked = {"query": QUERY, "k": 10}
        both = [answer(where, "/v1/search", asked)["hits"] for where in (one, other)]
        assert both[0] == both[1]
        assert len(both[0]) == 4
        gone = Path(both[0][0]["path"])
        tempme("forget", gone, "--index", uri)
        for where in (other, one):
            left = answer(where, "/v1/search", asked)["hits"]
            assert [hit["path"] for hit in left] == [hit["path"] for hit in both[0][1:]]


@pytest.mark.slow
def test_an_index_in_object_storage(local: Path, shards: str, videos: Path) -> None:
    held_against(f"s3://{BUCKET}/index", local, shards, videos)


@pytest.mark.slow
def test_an_index_on_milvus(local: Path, shards: str, videos: Path, milvus: str) -> None:
    held_against(f"milvus://{milvus}/films", local, shards, videos)


@pytest.mark.slow
def test_files_are_indexed_into_a_far_index_without_shards(
    local: Path, videos: Path, store: None, milvus: str
) -> None:
    del store
    wanted = {hit["moment_id"]: hit["score"] for hit in hits(local)}
    for uri in (f"s3://{BUCKET}/direct", f"milvus://{milvus}/direct"):
        tempme("index", videos, "--index", uri, "--model", "scenes-tiny")
        found = {hit["moment_id"]: hit["score"] for hit in hits(uri)}
        # In bf16 what is encoded again on another number of threads is rounded otherwise.
        assert found == pytest.approx(wanted, abs=5e-3)
        assert "4 unchanged" in tempme("index", videos, "--index", uri).stdout


def test_it_is_called_as_it_was_asked_for(tmp_path: Path) -> None:
    here, there = new_index(tmp_path), str(tmp_path / "there")
    begin_far(there, Place(str(here.path)), stays=True)
    far = open_far(there)
    assert (far.name, far.header, far.folder) == (there, here.header, Path(there))


def test_a_server_is_not_told_of_a_place_that_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[About] = []
    monkeypatch.setattr(MilvusServer, "about", lambda _: None)
    monkeypatch.setattr(MilvusServer, "begin", lambda _, about, **__: told.append(about))
    index = Index.create(tmp_path / "made", ColourRetriever(), source="colours")
    for stays in (True, False):
        begin_far("milvus://host/films", Place(str(index.path)), stays=stays)
    assert [about.side for about in told] == [str(index.path), ""]
    assert told[0].header == (index.path / "index.json").read_text()


@pytest.mark.slow
def test_what_is_not_there_is_said_in_one_line(store: None, milvus: str) -> None:
    del store
    for uri in (
        f"s3://{BUCKET}/nothing",
        "s3://no-such-bucket/films",
        f"milvus://{milvus}/nothing",
        "milvus://127.0.0.1:9/films",
    ):
        err = tempme("search", QUERY, "--index", uri, code=1).stderr
        assert re.fullmatch(r"error: .*\n", err), err
        assert uri.partition("://")[2] in err


@pytest.mark.slow
def test_an_index_that_a_newer_version_began_is_refused(milvus: str) -> None:
    from tempme.index.stores.milvus_server import About

    server = MilvusServer(Address.of(f"milvus://{milvus}/newer"))
    header = {"format": 99, "written_by": "tempme 99.0"}
    server.begin(About(json.dumps(header), ""), features=8)
    with pytest.raises(BadIndex, match="format 99, written by tempme 99"):
        Index.open(f"milvus://{milvus}/newer")


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("milvus://host/films", ("host", 19530, "films", "", False)),
        ("milvus://host:1/archive/films", ("host", 1, "films", "archive", False)),
        ("milvus+tls://[::1]:2/films", ("::1", 2, "films", "", True)),
    ],
)
def test_an_address_in_parts(uri: str, parts: tuple[object, ...]) -> None:
    address = Address.of(uri)
    assert tuple(vars(address).values()) == parts
    assert Address.of(address.shown) == address


@pytest.mark.parametrize(
    "uri",
    [
        "milvus://user:secret@host:1/films",
        "milvus://host:1/films?token=secret",
        "milvus://host:1",
        "milvus://host:port/films",
        "milvus://host:1/a/b/c",
        "milvus://host:1/films-2",
        "milvus:///films",
    ],
)
def test_an_address_that_is_none_is_refused_and_no_secret_is_said(uri: str) -> None:
    with pytest.raises(BadSetting) as told:
        Index.open(uri)
    assert "secret" not in str(told.value)
    assert "milvus://HOST:PORT/COLLECTION" in str(told.value)


def test_tls_and_token_reach_the_client_and_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_milvus()
    certificate = tmp_path / "ca.pem"
    certificate.touch()
    given: dict[str, Any] = {}

    class Refusing:
        class MilvusException(Exception):
            """As of pymilvus."""

        def MilvusClient(self, uri: str, **settings: Any) -> None:
            given.update(settings, uri=uri)
            raise self.MilvusException(f"auth check failure for {settings['token']}")

    monkeypatch.setattr(milvus_server_module, "_pymilvus", Refusing)
    monkeypatch.setenv("TEMPME_MILVUS_TOKEN", SECRET)
    monkeypatch.setenv("TEMPME_MILVUS_CA", str(certificate))
    with pytest.raises(BadIndex, match=r"auth check failure for \*\*\*") as told:
        Index.open("milvus+tls://host/archive/films")
    assert SECRET not in str(told.value)
    assert (given["uri"], given["db_name"]) == ("https://host:19530", "archive")
    assert (given["token"], given["server_pem_path"]) == (SECRET, str(certificate))


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    milvus_server_module._pymilvus.cache_clear()
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtra, match=r"tempme\[milvus\]"):
        Index.open("milvus://host/films")


@pytest.mark.parametrize(
    ("version", "is_right"),
    [
        ("milvus_lite-3.2.2", True),
        ("milvus_lite-3.2.1", False),
        ("v2.6.4", True),
        ("v2.3.5-lite", True),
        ("2.3.4", False),
        ("2.4", True),
        ("custom", True),
    ],
)
def test_a_server_that_is_too_old_is_refused(version: str, is_right: bool) -> None:
    if is_right:
        check_version(version, "milvus://host/films")
    else:
        with pytest.raises(BadIndex, match="upgrade it"):
            check_version(version, "milvus://host/films")


@pytest.mark.parametrize("words", [("--help",), ("index", "--help"), ("store", "load", "--help")])
def test_help_loads_neither_engine(words: tuple[str, ...]) -> None:
    program = (
        "import sys, atexit; import tempme; from tempme.cli import main;"
        "atexit.register(lambda: print(sorted({'ray', 'pymilvus', 'pyarrow', 'lancedb', 'torch'} "
        "& set(sys.modules)), file=sys.stderr)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        env=environment({}),
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
