"""A file that changes while it is read: digest and features are of the same bytes, or none are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from index_material import new_index, write_video
from tempme.index import Counts, Index
from tempme.index.building import build
from tempme.index.building.digests import CHANGED, Identified, digest_of, identify, is_still
from tempme.index.building.scan import find_files
from tempme.video import decode_many

Meddle = Callable[[Path], None]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return new_index(tmp_path)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    return write_video(tmp_path / "films" / "film.mp4", ["red"])


def meddling(monkeypatch: pytest.MonkeyPatch, meddle: Meddle) -> None:
    """Let something happen to every file between its decoding and what is made of it."""

    def decoded(paths: Iterable[Path], *given: Any, **how: Any) -> Iterator[Any]:
        for path, answer in decode_many(paths, *given, **how):
            meddle(path)
            yield path, answer

    monkeypatch.setattr(build, "decode_many", decoded)


def once(meddle: Meddle) -> Meddle:
    did: list[Path] = []

    def only(path: Path) -> None:
        if not did:
            did.append(path)
            meddle(path)

    return only


def identified(path: Path) -> Identified:
    (item,) = identify(find_files([path]).files)
    return item


def make_old(path: Path) -> None:
    """As if it had been written long ago; the kernel's own time of change stays."""
    os.utime(path, ns=(10**18, 10**18))


@pytest.mark.slow
def test_what_was_read_in_the_middle_of_a_change_is_read_again(
    index: Index, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddling(monkeypatch, once(lambda path: write_video(path, ["blue"]) and None))
    assert index.add(film).videos == Counts(indexed=1)
    (row,) = index.videos()
    assert row.digest == digest_of(film)
    assert (row.size_bytes, row.mtime_ns) == (film.stat().st_size, film.stat().st_mtime_ns)
    assert index.search("blue", 1)[0].score > 0.9
    assert index.add(film).videos == Counts(unchanged=1)


@pytest.mark.slow
def test_a_change_that_hides_behind_an_old_time_is_seen(
    index: Index, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `rsync --inplace` does: equal size, equal time, other bytes."""
    make_old(film)
    other = write_video(film.with_name("other.mp4"), ["blue"]).read_bytes()
    size = max(len(other), film.stat().st_size)
    film.write_bytes(film.read_bytes().ljust(size, b"\0"))
    make_old(film)
    film.with_name("other.mp4").unlink()

    def replace(path: Path) -> None:
        path.write_bytes(other.ljust(size, b"\0"))
        make_old(path)

    meddling(monkeypatch, once(replace))
    index.add(film)
    assert index.videos()[0].digest == digest_of(film)
    assert index.search("blue", 1)[0].score > 0.9


@pytest.mark.slow
def test_a_file_that_never_rests_fails_and_is_tried_again_by_the_next_run(
    index: Index, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(film.with_name("still.mp4"), ["green"])

    def grow(path: Path) -> None:
        if path == film:
            path.write_bytes(path.read_bytes() + b"\0")

    with monkeypatch.context() as patch:
        meddling(patch, grow)
        report = index.add(film.parent)
    assert report.videos == Counts(indexed=1, failed=1)
    assert [(v.path, v.reason) for v in report.failures] == [(film, CHANGED)]
    assert index.search("red", 1)[0].score < 0.5
    assert index.add(film.parent).videos == Counts(indexed=1, unchanged=1)
    assert index.search("red", 1)[0].path == film


@pytest.mark.slow
def test_a_failed_reading_of_a_changing_file_is_no_verdict(
    index: Index, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = film.read_bytes()
    film.write_bytes(whole[:100])  # the copy has just begun
    meddling(monkeypatch, once(lambda path: path.write_bytes(whole) and None))
    assert index.add(film).videos == Counts(indexed=1)


@pytest.mark.slow
def test_copies_of_what_changed_are_what_it_was(
    index: Index, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copy(film, film.with_name("a copy.mp4"))
    meddling(monkeypatch, once(lambda path: write_video(path, ["blue"]) and None))
    index.add(film.parent, workers=1)
    for path in (Path(copy), film):
        (row,) = [video for video in index.videos() if video.path == path]
        assert row.digest == digest_of(path)
    assert {hit.score > 0.9 for hit in [*index.search("red", 1), *index.search("blue", 1)]} == {
        True
    }


@pytest.mark.slow
def test_a_file_that_is_gone_when_it_was_read(
    index: Index, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddling(monkeypatch, once(lambda path: path.unlink()))
    report = index.add(film.parent)
    assert [(v.path, v.reason) for v in report.failures] == [(film, "no such file or directory")]
    assert index.num_moments() == 0


def test_the_same_is_the_same(film: Path) -> None:
    item = identified(film)
    assert is_still(item)
    film.chmod(0o600)  # changes the time of change, not the content
    assert is_still(item)


@pytest.mark.parametrize("is_young", [True, False])
def test_other_bytes_of_equal_size_and_time_are_not_the_same(film: Path, is_young: bool) -> None:
    make_old(film)
    item = identified(film)
    if not is_young:
        item = Identified(item.file, item.digest, "", item.stamp, item.seen_ns + 10**12)
    content = bytearray(film.read_bytes())
    content[len(content) // 2] ^= 1
    with film.open("r+b") as file:
        file.write(content)
    make_old(film)
    assert not is_still(item)


def test_a_file_that_grows_while_its_digest_is_taken(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tempme.index.building import digests

    def growing(path: Path) -> str:
        with path.open("ab") as file:
            file.write(b"\0")
        return digest_of(path)

    monkeypatch.setattr(digests, "digest_of", growing)
    assert identified(film).reason == CHANGED
