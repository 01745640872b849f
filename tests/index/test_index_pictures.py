"""Pictures in an index: a still is a moment without length."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from index_material import COLOURS, new_index, write_video
from tempme.index import Counts, Index

KINDS = ("jpg", "png", "webp", "avif", "bmp", "tiff")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for suffix, colour in zip(KINDS, COLOURS, strict=True):
        Image.new("RGB", (90, 60), COLOURS[colour]).save(folder / f"{colour}.{suffix}")
    write_video(folder / "film.mp4", ["red", "blue"], seconds=6)
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return new_index(tmp_path)


@pytest.mark.slow
def test_a_folder_gives_its_pictures_on_demand(index: Index, album: Path) -> None:
    report = index.add(album)
    assert report.videos == Counts(indexed=1)
    assert report.skipped == {"picture": 6}
    report = index.add(album, pictures=True)
    assert report.videos == Counts(indexed=6, unchanged=1)
    assert report.skipped == {}
    for suffix, colour in zip(KINDS, COLOURS, strict=True):
        hits = index.search(colour, 3)
        (hit,) = [hit for hit in hits if hit.path == album / f"{colour}.{suffix}"]
        assert (hit.start_seconds, hit.end_seconds) == (0, 0)
        assert hit.score > 0.95


def test_a_row_says_what_a_picture_is(index: Index, album: Path) -> None:
    turned = Image.new("RGB", (90, 60), COLOURS["red"])
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(album / "turned.jpg", exif=exif)
    index.add([album / "red.jpg", album / "turned.jpg"])
    row, lying = index.videos()
    assert (row.codec, row.width, row.height) == ("jpeg", 90, 60)
    assert (row.num_moments, row.duration_seconds, row.reason) == (1, 0, "")
    assert (lying.width, lying.height) == (60, 90)


@pytest.mark.slow
def test_named_pictures_are_always_taken_and_then_followed(index: Index, album: Path) -> None:
    assert index.add(album / "red.jpg").videos == Counts(indexed=1)
    assert index.add(album).videos == Counts(indexed=1, unchanged=1)
    Image.new("RGB", (90, 60), COLOURS["white"]).save(album / "red.jpg")
    report = index.add(album)
    assert report.videos == Counts(indexed=1, unchanged=1)
    assert report.skipped == {"picture": 5}
    assert index.search("white", 1)[0].path == album / "red.jpg"
    (album / "red.jpg").rename(album / "paper.jpg")
    assert index.add(album, pictures=True, prune=True).videos == Counts(
        indexed=5, renamed=1, unchanged=1
    )


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_is_a_failed_row(index: Index, album: Path) -> None:
    content = (album / "red.jpg").read_bytes()
    (album / "cut.jpg").write_bytes(content[:200])
    (album / "empty.png").touch()
    (album / "noise.webp").write_bytes(bytes(range(256)))
    report = index.add(album, pictures=True)
    assert report.videos == Counts(indexed=7, failed=3)
    reasons = {video.path.name: video.reason for video in report.failures}
    assert reasons.keys() == {"cut.jpg", "empty.png", "noise.webp"}
    assert reasons["empty.png"] == "empty file"
    assert index.add(album / "noise.webp").videos == Counts(failed=1)


@pytest.mark.slow
def test_a_picture_and_a_film_compete(index: Index, album: Path) -> None:
    index.add(album, pictures=True)
    hits = index.search("red", 10, moments=True)
    assert {hit.path.name for hit in hits[:2]} == {"red.jpg", "film.mp4"}
    assert index.similar(album / "red.jpg", 1)[0].path == album / "red.jpg"


def test_a_picture_without_a_suffix_is_taken_by_name(index: Index, album: Path) -> None:
    (album / "red.jpg").rename(album / "IMG 1")
    assert index.add(album / "IMG 1").videos == Counts(indexed=1)
