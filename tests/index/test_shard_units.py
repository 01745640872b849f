"""Shards by hand, without a run: named, made of what was read, and loaded into an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index_material import ColourRetriever
from shard_runs import loaded, shards_in
from tempme.errors import BadIndex, BadSetting, Stopped
from tempme.index import Index
from tempme.index.building.digests import Identified
from tempme.index.building.exclude import excluding
from tempme.index.building.order import RunOrder
from tempme.index.building.scan import File
from tempme.index.header import Cutting, Header
from tempme.index.moments import Moments, Video
from tempme.index.shards import bucket
from tempme.index.shards.bucket import _rule
from tempme.index.shards.filling import fill
from tempme.index.shards.making import Maker, Outcome
from tempme.index.shards.on_ray import _told
from tempme.index.shards.opening import open_shards, shards_for
from tempme.index.shards.parts import FOLDER, new_attempt
from tempme.index.shards.reading import Read
from tempme.index.shards.recipe import recipe_of
from tempme.index.shards.run import Run
from tempme.index.shards.shard import VideoShard
from tempme.index.shards.shards import FILES, Shards
from tempme.index.shards.sightings import Sighting
from tempme.uris import object_uri
from tempme.video.values import VideoInfo, VideoWindows

RED = "d" * 32


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return shards_in(tmp_path / "shards")


def put(shards: Shards, digest: str = RED) -> Sighting:
    """A shard of three moments, and the file that has them."""
    made = ColourRetriever().encode_texts(["red", "blue", "green"]).numpy().astype(np.float16)
    moments = Moments(digest, np.array([[0, 2], [1, 3], [2, 4]], float), made)
    path = Path(f"/films/{digest[0]}.mp4")
    row = Video(path, digest, 10, 20, num_moments=3, checksum=moments.checksum)
    shards.write(VideoShard(shards.recipe, row, moments))
    return Sighting(path, digest, 10, 20, 1)


def test_a_recipe_keeps_its_name() -> None:
    """Or else all that people have made would be made again."""
    header = Header("scenes-tiny", "tempme-0123456789abcdef", 12, 64, Cutting(sampling="exact"))
    assert recipe_of(header) == "3183c52fd30ad701"
    assert recipe_of(replace(header, source="a copy of it")) == recipe_of(header)
    assert recipe_of(replace(header, frames=8)) != recipe_of(header)


def test_shards_become_rows_with_their_moments(shards: Shards, tmp_path: Path) -> None:
    seen = put(shards)
    copy = replace(seen, path=Path("/films/copy.mp4"))
    broken = Sighting(Path("/films/closed.mp4"), "", 5, 6, 1, "no permission")
    shards.see([seen, copy, broken])
    index = loaded(shards, tmp_path / "index")
    rows = {video.path.name: video for video in index.videos()}
    assert rows.keys() == {"d.mp4", "copy.mp4", "closed.mp4"}
    assert (rows["closed.mp4"].status, rows["closed.mp4"].reason) == ("failed", "no permission")
    assert index.num_moments() == 3  # of both paths
    kept = index._store.gallery()
    assert kept.paths == ((copy.path, seen.path),)
    assert kept.spans.tolist() == [[0, 2], [1, 3], [2, 4]]


def test_damaged_sightings_are_named_and_the_others_count(shards: Shards) -> None:
    seen = put(shards)
    shards.see([seen])
    shards.place.write(f"{FILES}/hurt.parquet", b"PAR1")
    found, (damaged,) = shards.sightings()
    assert found == [seen]
    assert damaged.name.endswith("hurt.parquet")


def test_an_index_is_begun_with_what_lies_beside_its_shards(tmp_path: Path) -> None:
    shards = shards_for(tmp_path / "shards", "scenes-tiny", {})
    for written in (0, 1):  # begun, then brought in line
        name, told = fill(str(tmp_path / "shards"), tmp_path / "index")
        assert (name, told.written) == (str(tmp_path / "index"), written)
        shards.see([Sighting(Path("/films/closed.mp4"), "", 5, 6, 1, "no permission")])
    assert Index.open(tmp_path / "index").header == shards.header


def test_where_no_shards_are_it_says_how_some_are_made(tmp_path: Path) -> None:
    with pytest.raises(BadIndex, match=r"no shards in .*nothing: make some with `tempme index PA"):
        open_shards(tmp_path / "nothing")


@pytest.fixture
def seen() -> Identified:
    return Identified(File(Path("/films/red.mp4"), 10, 20), RED)


def windows(path: Path, number: int, *, is_last: bool) -> VideoWindows:
    """A piece of two windows of a red film."""
    pixels = np.zeros((5, 32, 32, 3), np.uint8)
    pixels[..., 0] = 255
    starts = np.arange(2.0) + 2 * number
    return VideoWindows(
        pixels,
        np.arange(5.0),
        np.arange(2)[:, None] + np.arange(4),
        np.stack([starts, starts + 2], axis=1),
        VideoInfo(path, 6.0, 32, 32, 25.0, "h264", "mp4", 150, 6, 0),
        piece=number,
        is_last=is_last,
    )


def test_pieces_of_a_film_are_put_together_by_who_brings_the_last(
    shards: Shards, seen: Identified
) -> None:
    attempt = new_attempt()
    pieces = [windows(seen.file.path, i, is_last=i == 2) for i in range(3)]
    kinds = []
    for piece in (pieces[2], pieces[0], pieces[1]):  # each by another worker
        made = Maker(shards, ColourRetriever()).take(Read(seen, piece, attempt))
        kinds.append((made.kind, made.windows))
    assert kinds == [("piece", 2), ("piece", 2), ("new", 2)]
    shard = shards.read(RED)
    assert shard is not None
    assert shard.moments is not None
    assert shard.moments.spans[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert len({feature.tobytes() for feature in shard.moments.features}) == 1
    assert not list(shards.place.files(FOLDER))


def test_what_needs_no_reading_is_known_or_failed(shards: Shards, seen: Identified) -> None:
    maker = Maker(shards, ColourRetriever())
    assert maker.take(Read(seen)).kind == "known"
    made = maker.take(Read(replace(seen, digest="", reason="no permission")))
    assert (made.kind, made.note) == ("failed", "no permission")
    assert made.sighting is not None
    assert made.sighting.reason == "no permission"


@pytest.mark.parametrize("prune", [False, True])
def test_a_uri_below_which_nothing_was_known_is_a_mistake(
    shards: Shards, monkeypatch: pytest.MonkeyPatch, prune: bool
) -> None:
    monkeypatch.setattr(bucket, "_objects", lambda _: [])  # as a bucket that has none there
    known = Path(object_uri("bucket/films/a.mp4"))
    shards.see([replace(put(shards), path=known)])
    for uri, may_be_gone in (("bucket/films", prune), ("bucket/flims", False)):
        order = RunOrder([Path(object_uri(uri))], prune=prune, force=True)
        run = Run(shards, order)
        if may_be_gone:
            assert not run._find_objects().listed
            assert run._gone == {known}
        else:
            with pytest.raises(BadSetting, match=f"no such file or folder: s3://{uri}"):
                run._find_objects()


def test_errors_of_ray_end_a_run_in_a_line() -> None:
    def made(error: Exception) -> Iterator[list[Outcome]]:
        yield []
        raise error

    for error, why in (
        (RuntimeError("at first\nand then this\n"), "and then this"),
        (RuntimeError(), "RuntimeError"),
    ):
        with pytest.raises(Stopped, match=f"^Ray gave up: {why}; every finished shard is kept"):
            list(_told(made(error)))
    with pytest.raises(BadSetting, match="have no tempme, or another version"):
        list(_told(made(ImportError("No module named 'tempme.index'"))))
    behind = RuntimeError("the actor died")
    behind.__cause__ = BadIndex("the disk is full")
    with pytest.raises(BadIndex, match=r"^the disk is full$"):
        list(_told(made(behind)))


def test_rules_of_folders_hold_for_names_of_objects() -> None:
    patterns = excluding(["*.mov", "drafts/"], Path("s3://bucket/films"))
    names = {"": frozenset({"a.mp4"}), "old": frozenset({"a.mp4", "._a.mp4"})}
    for name, rule in (
        ("", None),
        ("a.mp4", None),
        ("old/a.mp4", None),
        ("old/._a.mp4", ("hidden", "old/._a.mp4")),
        ("b.mov", ("excluded", "b.mov")),
        ("drafts/a.mp4", ("excluded", "drafts/")),
    ):
        folders = {
            **names,
            name.rpartition("/")[0]: names.get(name.rpartition("/")[0], frozenset()),
        }
        assert _rule(name, patterns, folders) == rule, name
