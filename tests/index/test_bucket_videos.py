"""Videos in a bucket: listed, read from copies that do not stay, and stored under their URIs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from far_servers import needs_ray, needs_s3
from index_material import new_index, write_films, write_video
from loopback import BUCKET, environment, s3_server
from serving_processes import answer, serving
from shard_runs import counts, loaded, run, shards_in
from tempme.errors import BadIndex, BadSetting
from tempme.index import Index
from tempme.index.moments import Video
from tempme.index.shards import fetching
from tempme.index.stores.paths import path_to_text, text_to_path
from tempme.index.stores.places import s3
from tempme.scenes.recording import write

pytestmark = pytest.mark.slow
YELLOW = "more films/yellow \N{CLAPPER BOARD}.mkv"


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    needs_s3()
    with s3_server() as told, pytest.MonkeyPatch.context() as patch:
        for variable, value in told.items():
            patch.setenv(variable, value)
        yield


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def bucket(server: None, scratch: Path, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A prefix with the films of `write_films`, and their folder on this machine."""
    del server, scratch
    prefix = f"{BUCKET}/{request.node.name}"
    folder = write_films(tmp_path / "films")
    (folder / ".hidden.mp4").write_bytes(b"\0" * 10)
    for path in folder.rglob("*"):
        if path.is_file():
            put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"s3://{prefix}"


def put(key: str, content: bytes) -> None:
    with s3().open_output_stream(key) as out:
        out.write(content)


def put_raw(key: str) -> None:
    """An object under a key that PyArrow would not write."""
    asked = Request(f"{os.environ['AWS_ENDPOINT_URL']}/{key}", b"x", method="PUT")
    asked.add_header("Authorization", "AWS key:signature")
    urlopen(asked, timeout=60).close()


def key_of(uri: str) -> str:
    return uri.removeprefix("s3://")


def paths_in(index: Index) -> set[str]:
    return {path_to_text(row.path) for row in index.videos()}


def test_a_bucket_gives_what_the_same_folder_gives(
    bucket: str, tmp_path: Path, scratch: Path
) -> None:
    near, far = shards_in(tmp_path / "near"), shards_in(tmp_path / "far")
    (scratch / "tempme-objects-999999999-left").mkdir()  # of a run that was killed
    run(near, tmp_path / "films")
    report = run(far, Path(bucket))
    assert counts(report) == {"indexed": 3, "failed": 1}
    assert [path_to_text(row.path) for row in report.failures] == [f"{bucket}/bad.mp4"]
    assert report.skipped == {"hidden": 1}
    assert near.digests().keys() == far.digests().keys()
    for digest in near.digests():
        one, other = near.read(digest), far.read(digest)
        assert one is not None
        assert other is not None
        assert (one.row.status, one.row.checksum) == (other.row.status, other.row.checksum)
    index = loaded(far, tmp_path / "far.tempme")
    assert paths_in(index) >= {f"{bucket}/red.mp4", f"{bucket}/{YELLOW}"}
    (hit,) = index.search("yellow", 1, under=f"{bucket}/more films")
    assert hit.as_dict()["path"] == f"{bucket}/{YELLOW}"
    assert index.status().num_missing == 0
    assert counts(run(far, Path(bucket))) == {"unchanged": 3, "failed": 1}
    assert list(scratch.glob("tempme-*")) == []
    index.forget(f"{bucket}/more films")
    assert f"{bucket}/{YELLOW}" not in paths_in(index)


def test_objects_that_change_and_go_are_followed(bucket: str, tmp_path: Path) -> None:
    far = shards_in(tmp_path / "far")
    run(far, Path(bucket))
    blue = write_video(tmp_path / "blue.mp4", ["blue"])
    put(f"{key_of(bucket)}/red.mp4", blue.read_bytes())
    put(f"{key_of(bucket)}/100%25 new.mp4", blue.read_bytes())
    report = run(far, Path(bucket))
    assert counts(report) == {"indexed": 2, "unchanged": 2, "failed": 1}
    index = loaded(far, tmp_path / "far.tempme")
    (hit,) = index.search("blue", 1)
    # A key that has a per cent sign in it is escaped, so that the URI names that key.
    assert {*hit.as_dict()["paths"]} == {f"{bucket}/red.mp4", f"{bucket}/100%2525 new.mp4"}
    s3().delete_file(f"{key_of(bucket)}/{YELLOW}")
    assert "removed" not in counts(run(far, Path(bucket)))
    assert counts(run(far, Path(bucket), prune=True))["removed"] == 1
    for name in ("red.mp4", "green blue.mp4", "bad.mp4", "100%25 new.mp4", ".hidden.mp4"):
        s3().delete_file(f"{key_of(bucket)}/{name}")
    with pytest.raises(BadSetting, match=r"4 of the 4 videos known .* add --force"):
        run(far, Path(bucket), prune=True)
    assert counts(run(far, Path(bucket), prune=True, force=True)) == {"removed": 4}


def test_named_objects_patterns_and_pictures(bucket: str, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (220, 30, 30)).save(tmp_path / "a.png")
    put(f"{key_of(bucket)}/more films/a.png", (tmp_path / "a.png").read_bytes())
    put_raw(f"{key_of(bucket)}/double//slash.mp4")
    far = shards_in(tmp_path / "far")
    report = run(far, Path(bucket), exclude=("more films/",))
    assert counts(report) == {"indexed": 2, "failed": 1}
    assert report.skipped == {"hidden": 1, "excluded": 1}
    told = {row["path"]: row["reason"] for row in report.as_dict()["unreadable"]}
    assert [why.partition(":")[0] for why in told.values()] == [
        "its key has empty parts, which no path can hold"
    ]
    assert counts(run(far, Path(f"{bucket}/more films"), pictures=True)) == {"indexed": 2}
    assert counts(run(far, Path(f"{bucket}/notes.txt"))) == {"failed": 1}
    with pytest.raises(BadSetting, match=f"no such file or folder: {bucket}/none"):
        run(far, Path(f"{bucket}/none"))
    with pytest.raises((BadIndex, BadSetting), match="no-such-bucket"):
        run(far, Path("s3://no-such-bucket/films"))
    with pytest.raises(BadSetting, match="is in a bucket: index it with `tempme index URI"):
        new_index(tmp_path).add(bucket)


def test_what_cannot_be_fetched_is_tried_again(
    bucket: str, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = shards_in(tmp_path / "far")
    with monkeypatch.context() as patch:
        usage = type("Usage", (), {"free": 100})
        patch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
        report = run(far, Path(bucket))
    too_large = [row for row in report.failures if "has room for 100" in row.reason]
    assert len(too_large) == counts(report)["failed"] == 4
    assert counts(run(far, Path(bucket))) == {"indexed": 3, "failed": 1}
    assert list(scratch.glob("tempme-*")) == []


def test_the_command_reads_a_bucket_and_a_list(bucket: str, tmp_path: Path, scratch: Path) -> None:
    listed = tmp_path / "films.txt"
    listed.write_text(f"{bucket}/red.mp4\n{tmp_path / 'films' / 'green blue.mp4'}\n")
    words = ("--shards", tmp_path / "shards", "--model", "scenes-tiny")
    assert "2 indexed" in command("index", "--files-from", listed, *words)
    refused = command("index", bucket, "--index", tmp_path / "none.tempme", code=1)
    assert refused.startswith(f"error: {bucket} is in a bucket: index it with")
    assert not (tmp_path / "none.tempme").exists()
    index = tmp_path / "made.tempme"
    command("store", "load", tmp_path / "shards", "--index", index)
    found = json.loads(command("search", "a circle", "--index", index, "--json"))["hits"]
    assert f"{bucket}/red.mp4" in {hit["path"] for hit in found}
    assert list(scratch.glob("tempme-*")) == []
    served(index, f"{bucket}/red.mp4")


def served(index: Path, uri: str) -> None:
    """What lies in a bucket is found, filtered and counted by the service, and not played."""
    with serving(index) as (_, where):
        hits = answer(where, "/v1/search", {"query": "a circle", "k": 10})["hits"]
        (hit,) = (hit for hit in hits if hit["path"] == uri)
        answer(where, "/v1/facets")
        folder = uri.rpartition("/")[0]
        asked = {"query": "a circle", "filters": {"folder": folder}}
        assert [hit["path"] for hit in answer(where, "/v1/search", asked)["hits"]] == [uri]
        with pytest.raises(HTTPError) as refused:
            answer(where, f"/v1/videos/{hit['video_id']}/stream")
        assert f"{uri} is in a bucket" in json.load(refused.value)["detail"]


def test_ray_reads_a_bucket(server: None, tmp_path: Path, scratch: Path) -> None:
    needs_ray()
    del server
    write(3, tmp_path / "videos", seed=0, size=64)
    for path in (tmp_path / "videos").glob("*.mp4"):
        put(f"{BUCKET}/ray/{path.name}", path.read_bytes())
    words = ("--shards", tmp_path / "shards", "--model", "scenes-tiny", "--on", "ray")
    assert "3 indexed" in command("index", f"s3://{BUCKET}/ray", *words)
    assert "3 unchanged" in command("index", f"s3://{BUCKET}/ray", *words)
    assert list(scratch.glob("tempme-*")) == []


def test_uris_come_back_from_what_is_stored() -> None:
    for uri in ("s3://films/a b.mp4", "s3://films/100%25.mp4", "/films/s3:/a.mp4"):
        row = Video(text_to_path(uri), "", 1, 1)
        assert path_to_text(row.path) == uri


def command(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(dict(os.environ)),
        timeout=600,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr
