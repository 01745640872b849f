"""The files of shards are what was written, or an error; places are paths or URIs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tempme.errors import BadSetting
from tempme.index.moments import Moments, Video
from tempme.index.shards.shard import BadShard, VideoShard, pack, unpack
from tempme.index.shards.sightings import (
    Sighting,
    latest,
    pack_sightings,
    unpack_sightings,
)
from tempme.index.side_files import cache_folder
from tempme.index.stores.places import Place
from tempme.uris import is_remote, uri_of

WIDTH = 8


def test_a_shard_is_what_was_packed_or_an_error() -> None:
    rng = np.random.default_rng(0)
    spans = np.stack([np.arange(3.0), np.arange(3.0) + 2], axis=1)
    moments = Moments("d" * 32, spans, rng.standard_normal((3, WIDTH)).astype(np.float16))
    row = Video(
        Path("/films/a\udcff.mp4"), "d" * 32, 1, 2, num_moments=3, checksum=moments.checksum
    )
    shard = VideoShard("recipe", row, moments)
    content = pack(shard, width=WIDTH)
    assert content == pack(shard, width=WIDTH)
    back = unpack(content, recipe="recipe", digest="d" * 32, width=WIDTH)
    assert back.row == row
    assert back.moments is not None
    assert back.moments.checksum == moments.checksum
    for wrong in ({"recipe": "other"}, {"digest": "e" * 32}, {"width": WIDTH + 1}):
        with pytest.raises(BadShard):
            unpack(content, **{"recipe": "recipe", "digest": "d" * 32, "width": WIDTH, **wrong})  # type: ignore[arg-type]
    for place in range(0, len(content), 7):
        hurt = bytearray(content)
        hurt[place] ^= 0x20
        try:
            same = unpack(bytes(hurt), recipe="recipe", digest="d" * 32, width=WIDTH)
        except BadShard:
            continue
        assert same.row == row  # in a place that means nothing
        assert same.moments is not None
        assert same.moments.checksum == moments.checksum
    for length in (0, 4, 100, len(content) - 1):
        with pytest.raises(BadShard):
            unpack(content[:length], recipe="recipe", digest="d" * 32, width=WIDTH)


def test_the_latest_sighting_counts() -> None:
    path = Path("/films/a.mp4")
    old, new = Sighting(path, "d1", 1, 1, 10), Sighting(path, "d2", 1, 1, 11)
    assert latest([new, old]) == latest([old, new]) == {path: new}


def test_sightings_come_back_and_equal_ones_are_one_file() -> None:
    seen = [Sighting(Path("/films/a\udcff.mp4"), "d1", 1, 2, 10, "empty file", is_gone=True)]
    name, content = pack_sightings(seen)
    assert unpack_sightings(content) == seen
    assert pack_sightings(seen) == (name, content)
    for damaged in (b"", content[:40], b"PAR1" + content):
        with pytest.raises(BadShard):
            unpack_sightings(damaged[:-3])


@pytest.mark.parametrize(
    ("given", "uri", "far"),
    [
        ("films", "films", False),
        ("/films/a:/b", "/films/a:/b", False),
        ("file:///films", "/films", False),
        ("file:/films%20x", "/films x", False),
        (Path("s3://bucket/films"), "s3://bucket/films", True),
        ("S3://bucket/films", "s3://bucket/films", True),
        (Path("milvus+tls://host:1/films"), "milvus+tls://host:1/films", True),
        ("C:/films", "C:/films", False),
    ],
)
def test_paths_and_uris(given: str | Path, uri: str, far: bool) -> None:
    assert (uri_of(given), is_remote(given)) == (uri, far)


@pytest.mark.parametrize(
    "given", ["s3://key:secret@bucket/films", "gs://bucket/films", "http://host/films"]
)
def test_a_place_of_another_kind_is_refused_and_no_secret_is_said(given: str) -> None:
    with pytest.raises(BadSetting) as told:
        Place.of(given)
    assert "secret@" not in str(told.value)


def test_a_person_finds_a_cache_by_the_name_of_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for uri in ("s3://bucket/my films", "s3://bucket/my films/", "milvus://host:1/a/my films"):
        folder = cache_folder(uri)
        assert folder.parent == tmp_path / "tempme" / "indexes"
        assert folder.name.startswith("my-films-")
    assert cache_folder("s3://one/films") != cache_folder("s3://other/films")
