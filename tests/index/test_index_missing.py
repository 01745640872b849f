"""A disk that is not mounted is not a deletion; what a person wants gone, goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from index_material import Renewed, new_index, opened, write_video
from tempme.errors import BadSetting
from tempme.index import Counts, Index
from tempme.index.building import pruning
from tempme.index.stores.snapshot import read_snapshot

COLOURS = ("red", "green", "blue", "yellow", "white")


def index_disk(folder: Path) -> None:
    disk = folder / "disk"
    (disk / "holiday").mkdir(parents=True)
    for colour in COLOURS[:2]:
        write_video(disk / f"{colour}.mp4", [colour])
    for colour in COLOURS[2:]:
        write_video(disk / "holiday" / f"{colour}.mp4", [colour])
    new_index(folder).add(disk)


@pytest.fixture(scope="module")
def disk_and_index(tmp_path_factory: pytest.TempPathFactory) -> Renewed:
    return Renewed(tmp_path_factory.mktemp("missing") / "again", index_disk)


@pytest.fixture
def disk(disk_and_index: Renewed) -> Path:
    return disk_and_index.again() / "disk"


@pytest.fixture
def index(disk: Path) -> Index:
    return opened(disk.parent)


def unmount(folder: Path, tmp_path: Path) -> Path:
    """Leave the empty folder where the disk was mounted."""
    away = folder.rename(tmp_path / "away")
    folder.mkdir()
    return away


def mount(folder: Path, away: Path) -> None:
    folder.rmdir()
    away.rename(folder)


def test_nothing_is_pruned_below_a_root_that_is_empty(index: Index, disk: Path) -> None:
    away = unmount(disk, disk.parent)
    with pytest.raises(BadSetting, match=r"disk holds nothing to index.*knows 5 videos.*--force"):
        index.add(disk, prune=True)
    assert index.add(disk).videos == Counts()
    assert len(index.videos()) == 5
    mount(disk, away)
    assert index.add(disk, prune=True).videos == Counts(unchanged=5)


def test_the_empty_root_may_hold_what_is_no_video(index: Index, disk: Path) -> None:
    unmount(disk, disk.parent)
    (disk / "README").write_text("mount the disk here")
    with pytest.raises(BadSetting, match="holds nothing to index"):
        index.add(disk, prune=True)


def test_nothing_is_pruned_where_most_is_gone(index: Index, disk: Path) -> None:
    shutil.rmtree(disk / "holiday")
    with pytest.raises(BadSetting, match=r"3 of the 5 videos known in .*disk are gone.*--force"):
        index.add(disk, prune=True)
    assert len(index.videos()) == 5
    assert index.add(disk, prune=True, force=True).videos == Counts(unchanged=2, removed=3)


@pytest.mark.slow
def test_the_rest_of_the_run_is_done_before_that_is_said(index: Index, disk: Path) -> None:
    shutil.rmtree(disk / "holiday")
    write_video(disk / "black.mp4", ["black"])
    with pytest.raises(BadSetting, match="what was found is indexed"):
        index.add(disk, prune=True)
    assert index.search("black", 1)[0].path == disk / "black.mp4"


@pytest.mark.slow
def test_a_disk_mounted_within_a_root(index: Index, disk: Path) -> None:
    for i in range(4):
        write_video(disk / f"{i}.mp4", ["white"] * (i + 2))
    index.add(disk)
    unmount(disk / "holiday", disk.parent)
    with pytest.raises(BadSetting, match=r"3 of the 3 videos known in .*holiday are gone"):
        index.add(disk, prune=True)
    assert len(index.videos()) == 9


@pytest.mark.slow
@pytest.mark.parametrize("is_of_user", [True, False])
def test_a_disk_whose_folder_goes_with_it(
    index: Index, disk: Path, monkeypatch: pytest.MonkeyPatch, is_of_user: bool
) -> None:
    """As systems do that mount what is plugged in."""
    for i in range(4):
        write_video(disk / f"{i}.mp4", ["white"] * (i + 2))
    index.add(disk)
    shutil.rmtree(disk / "holiday")
    places = {"MOUNTS_OF_USERS" if is_of_user else "MOUNTS": (disk.parent if is_of_user else disk,)}
    for name, value in places.items():
        monkeypatch.setattr(pruning, name, value)
    with pytest.raises(BadSetting, match=r"3 of the 3 videos known in .*holiday are gone"):
        index.add(disk, prune=True)
    monkeypatch.undo()
    assert index.add(disk, prune=True).videos == Counts(unchanged=6, removed=3)


def test_a_root_that_is_no_more_can_be_pruned_by_its_name(index: Index, disk: Path) -> None:
    shutil.rmtree(disk)
    with pytest.raises(BadSetting, match=r"no such file or folder: .*knows 5 videos there"):
        index.add(disk)
    with pytest.raises(BadSetting, match=r"disk does not exist, but the index knows 5 videos"):
        index.add(disk, prune=True)
    assert index.add(disk, prune=True, force=True).videos == Counts(removed=5)
    assert index.videos() == ()
    assert index.num_moments() == 0
    with pytest.raises(BadSetting, match=r"no such file or folder: .*disk$"):
        index.add(disk, prune=True, force=True)


def test_a_file_that_is_no_more_can_be_pruned_by_its_name(index: Index, disk: Path) -> None:
    (disk / "red.mp4").unlink()
    with pytest.raises(BadSetting, match="no such file"):
        index.add(disk / "red.mp4")
    assert index.add(disk / "red.mp4", prune=True).videos == Counts(removed=1)
    unmount(disk, disk.parent)
    with pytest.raises(BadSetting, match=r"green\.mp4 does not exist"):
        index.add(disk / "green.mp4", prune=True)


def test_after_what_only_removes_searches_have_their_copy(index: Index, disk: Path) -> None:
    (disk / "red.mp4").unlink()
    assert index.add(disk, prune=True).videos == Counts(unchanged=4, removed=1)
    version, width = index._store.version(), index.header.features
    kept = read_snapshot(index.path, versions=version, width=width, most_moments=1000)
    assert kept is not None
    assert len(kept.contents) == 4


def test_a_copy_does_not_take_the_row_of_what_cannot_be_reached(
    index: Index, disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "copies").mkdir()
    shutil.copy(disk / "red.mp4", tmp_path / "copies")
    away = unmount(disk, disk.parent)
    for paths in ([tmp_path / "copies"], [tmp_path / "copies", disk]):
        index.add(paths)
        known = {video.path for video in index.videos()}
        assert {disk / "red.mp4", tmp_path / "copies" / "red.mp4"} <= known
    mount(disk, away)
    assert index.add(disk).videos == Counts(unchanged=5)


def test_a_film_that_moved_keeps_its_row(index: Index, disk: Path) -> None:
    (disk / "red.mp4").rename(disk / "holiday" / "crimson.mp4")
    (disk / "holiday").rename(disk / "summer")
    assert index.add(disk, prune=True).videos == Counts(unchanged=1, renamed=4)
    assert len(index.videos()) == 5


@pytest.mark.slow
def test_an_emptied_folder_whose_films_are_elsewhere_is_pruned(index: Index, disk: Path) -> None:
    (disk / "kept").mkdir()
    for colour in COLOURS[2:]:
        (disk / "holiday" / f"{colour}.mp4").rename(disk / "kept" / f"{colour}.mp4")
        write_video(disk / f"new {colour}.mp4", [colour, "black"])
    report = index.add(disk)
    assert len(report.missing) == 3  # an empty folder may be where a disk was mounted
    assert index.add(disk, prune=True).videos == Counts(unchanged=8, removed=3)


@pytest.mark.slow
def test_forgotten_videos_are_gone_and_their_files_are_not(index: Index, disk: Path) -> None:
    assert index.forget(disk / "holiday") == tuple(
        sorted(disk / "holiday" / f"{colour}.mp4" for colour in COLOURS[2:])
    )
    assert {video.path.name for video in index.videos()} == {"red.mp4", "green.mp4"}
    assert index.num_moments() == 2
    assert all(hit.score < 0.5 for hit in index.search("blue"))
    assert (disk / "holiday" / "blue.mp4").exists()
    assert index.add(disk, exclude=["holiday"]).videos == Counts(unchanged=2)
    assert index.add(disk).videos == Counts(indexed=3, unchanged=2)


def test_files_that_are_gone_can_be_forgotten(index: Index, disk: Path) -> None:
    shutil.rmtree(disk)
    assert len(index.forget([disk / "red.mp4", disk / "holiday"])) == 4
    assert len(index.videos()) == 1


def test_forgetting_what_is_not_known_is_an_error_and_removes_nothing(
    index: Index, disk: Path
) -> None:
    with pytest.raises(BadSetting, match=r"knows no video at or below .*pink\.mp4"):
        index.forget([disk / "red.mp4", disk / "pink.mp4"])
    assert len(index.videos()) == 5


def test_of_equal_files_one_can_be_forgotten(index: Index, disk: Path) -> None:
    shutil.copy(disk / "red.mp4", disk / "copy.mp4")
    index.add(disk)
    index.forget(disk / "red.mp4")
    (hit,) = index.search("red", 1)
    assert hit.paths == (disk / "copy.mp4",)
