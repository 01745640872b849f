"""What is left out of a folder: rubbish by name, and what a person excludes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tempme.errors import BadSetting
from tempme.index.building.scan import find_files


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(root: Path, *exclude: str) -> list[str]:
    found = find_files([root], exclude=exclude).files
    return [str(file.path.relative_to(root)) for file in found]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (".hidden.mp4", "hidden"),
        ("._film.mp4", "hidden"),
        (".trashed-1700000000-film.mp4", "hidden"),
        (".pending-1700000000-film.mp4", "hidden"),
        (".Trash-1000/files/film.mp4", "hidden"),
        ("a/.cache/film.mp4", "hidden"),
        ("@eaDir/film.mp4/SYNOVIDEO.mp4", "system folder"),
        ("#recycle/film.mp4", "system folder"),
        ("$RECYCLE.BIN/film.mp4", "system folder"),
        ("$Recycle.Bin/S-1-5/film.mp4", "system folder"),
        ("System Volume Information/film.mp4", "system folder"),
        ("lost+found/film.mp4", "system folder"),
        ("a/b/videos.tempme/film.mp4", "index"),
    ],
)
def test_rubbish_is_skipped_and_counted_unless_named(tmp_path: Path, name: str, rule: str) -> None:
    path = touch(tmp_path / name)
    touch(tmp_path / "film.mp4")
    found = find_files([tmp_path])
    assert [file.path.name for file in found.files] == ["film.mp4"]
    assert found.skipped == {rule: 1}
    assert [file.path for file in find_files([path]).files] == [path]
    assert path in [file.path for file in find_files([path.parent]).files] or path.name[0] == "."


def test_what_promises_no_video_is_not_counted(tmp_path: Path) -> None:
    for name in (".DS_Store", ".nomedia", "Thumbs.db", "lost+found.txt"):
        touch(tmp_path / name)
    assert find_files([tmp_path]).skipped == {}


@pytest.mark.parametrize(
    ("film", "proxies"),
    [
        ("GOPR0042.MP4", ["GOPR0042.LRV", "GOPR0042.THM"]),
        ("GX010042.MP4", ["GL010042.LRV", "GX010042.THM"]),
        ("GH010042.mp4", ["GL010042.LRV"]),
        ("DJI_0007.MP4", ["DJI_0007.LRF"]),
        ("VID_20260101_00_001.insv", ["LRV_20260101_00_001.lrv"]),
    ],
)
def test_a_proxy_is_skipped_beside_its_film_only(
    tmp_path: Path, film: str, proxies: list[str]
) -> None:
    for proxy in proxies:
        touch(tmp_path / proxy)
    assert names(tmp_path) == sorted(proxies)
    touch(tmp_path / "elsewhere" / film)
    assert len(names(tmp_path)) == len(proxies) + 1
    touch(tmp_path / film)
    found = find_files([tmp_path])
    assert sorted(file.path.name for file in found.files) == [film, film]
    assert found.skipped == {"camera proxy": len(proxies)}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4", "private/a.mp4", "more/private/c.mp4", "more/raw.mov", "top"):
        touch(tmp_path / "films" / name)
    return tmp_path / "films"


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["private"], ["a.mp4", "b.mp4", "more/raw.mov", "top"]),
        (["/private/"], ["a.mp4", "b.mp4", "more/private/c.mp4", "more/raw.mov", "top"]),
        (["*.mp4"], ["more/raw.mov", "top"]),
        (["*.mp4", "!a.mp4"], ["a.mp4", "more/raw.mov", "private/a.mp4", "top"]),
        (["more/**/c.mp4", "top"], ["a.mp4", "b.mp4", "more/raw.mov", "private/a.mp4"]),
        (["# note", ""], ["a.mp4", "b.mp4", "more/private/c.mp4", "more/raw.mov"]),
        (["FILMS/private", "FILMS/more/raw.mov"], ["a.mp4", "b.mp4", "more/private/c.mp4", "top"]),
    ],
)
def test_patterns_mean_what_they_mean_to_git(
    films: Path, patterns: list[str], left: list[str]
) -> None:
    given = [pattern.replace("FILMS", str(films)) for pattern in patterns]
    assert names(films, *given)[: len(left)] == left


def test_patterns_hold_for_named_files_too(films: Path) -> None:
    found = find_files([films / "a.mp4", films / "b.mp4"], exclude=["b*"])
    assert [file.path.name for file in found.files] == ["a.mp4"]
    assert found.skipped == {"excluded": 1}


def test_an_ignore_file_counts_from_its_folder_and_the_nearest_decides(films: Path) -> None:
    (films / ".tempmeignore").write_text("# not for me\nprivate/\n*.mov\n/b.mp4\n")
    (films / "more" / ".tempmeignore").write_text("!raw.mov\n")
    touch(films / "more" / "b.mp4")
    assert names(films) == ["a.mp4", "more/b.mp4", "more/raw.mov", "top"]
    assert find_files([films]).skipped == {"excluded": 3}
    assert names(films, "raw.mov") == ["a.mp4", "more/b.mp4", "top"]
    assert names(films / "private") == ["a.mp4"]  # named, so wanted


def test_patterns_that_mean_nothing_are_named(films: Path) -> None:
    with pytest.raises(BadSetting, match=r"--exclude: .*write patterns as in a \.gitignore"):
        names(films, "!")
    (films / "more" / ".tempmeignore").write_text("!\n")
    with pytest.raises(BadSetting, match=r"more/\.tempmeignore: "):
        names(films)


def test_other_things_called_like_an_ignore_file_do_no_harm(films: Path) -> None:
    os.mkfifo(films / ".tempmeignore")  # would block whoever waits for a writer
    (films / "more" / ".tempmeignore").mkdir()
    (films / "private" / ".tempmeignore").write_bytes(b"\xff\xfe*.mp4\n")
    assert len(names(films)) == 6


def test_links_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").symlink_to(tmp_path / "unmounted" / "film.mp4")
    (tmp_path / "config").symlink_to(tmp_path / "nowhere")
    assert find_files([tmp_path]).skipped == {"broken link": 1}
