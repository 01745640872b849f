"""Every file that is named, or is named like a video, ends in a row or in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from index_material import new_index, write_video
from tempme.index import Index
from tempme.index.building.kinds import kind_of

TYPESCRIPT = (
    b"import { x } from './x';\n\nexport const caf\xc3\xa9: number = x + 1; // \xe2\x9c\x93\n"
)
QT = b'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n<TS version="2.1"></TS>\n'
# The start of a transport stream: a program association table, as any muxer writes it.
PACKET = (
    bytes.fromhex("474011100042f0250001c10000ff01ff0001fc801448120106464d706567") + b"\xff" * 158
)
NOISE = bytes(range(256)) * 8


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return new_index(tmp_path)


def rows(index: Index) -> dict[str, str]:
    return {video.path.name: f"{video.status}: {video.reason}" for video in index.videos()}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["MTS", "m2ts", "ts", "nut", "mp4", "vob", "mxf", "insv", "mod"])
def test_a_broken_video_is_a_failed_row(index: Index, tmp_path: Path, suffix: str) -> None:
    contents = {"empty": b"", "noise": NOISE, "short": PACKET[:100], "table only": PACKET * 3}
    (tmp_path / "films").mkdir()
    for name, content in contents.items():
        (tmp_path / "films" / f"{name}.{suffix}").write_bytes(content)
    named = tmp_path / "films" / f"short.{suffix}"
    assert [video.path for video in index.add(named, workers=1).failures] == [named]
    assert index.add(tmp_path / "films", workers=1).videos.failed == len(contents)
    told = rows(index)
    assert told.keys() == {f"{name}.{suffix}" for name in contents}
    assert told.pop(f"empty.{suffix}") == "failed: empty file"
    assert all(reason.startswith("failed: ") and len(reason) > 20 for reason in told.values())


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("app.ts", TYPESCRIPT, "text"),
        ("app.mts", TYPESCRIPT, "text"),
        ("app.ts", b"\xef\xbb\xbf" + TYPESCRIPT, "text"),
        ("app.ts", TYPESCRIPT.decode().encode("utf-16"), "text"),
        ("app.ts", b"// caf\xe9\r\n", "text"),
        ("de.ts", QT, "text"),
        ("go.mod", b"module example.org/x\n\ngo 1.22\n", "text"),
        ("film.ts", PACKET * 3, "video"),
        ("film.MTS", b"\0\0\0\0" + PACKET, "video"),
        ("film.ts", b"", "video"),
        ("film.ts", NOISE, "video"),
        ("film.mp4", TYPESCRIPT, "video"),
        ("notes.txt", TYPESCRIPT, "other"),
        ("photo.jpg", b"", "picture"),
        ("photo", b"\x89PNG\r\n\x1a\nrest", "picture"),
        ("photo", b"\0\0\0\x1cftypavif\0\0\0\0", "picture"),
        ("photo", b"RIFF\0\0\0\0WEBPVP8 ", "picture"),
        ("sound", b"RIFF\0\0\0\0WAVEfmt ", "other"),
    ],
)
def test_the_first_bytes_tell(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


def test_a_gif_is_what_it_shows(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), (shade, 0, 0)) for shade in (0, 120, 240)]
    frames[0].save(tmp_path / "still.gif")
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "broken.gif").write_bytes(NOISE)
    kinds = {path.name: kind_of(path) for path in tmp_path.glob("*.gif")}
    assert kinds == {"still.gif": "picture", "moving.gif": "video", "broken.gif": "video"}


@pytest.mark.slow
def test_source_is_passed_over_in_a_folder_and_refused_by_name(
    index: Index, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "red.mp4", ["red"])
    for name in ("app.ts", "lib.mts"):
        (films / name).write_bytes(TYPESCRIPT)
    report = index.add(films)
    assert report.videos.indexed == len(index.videos()) == 1
    assert report.skipped == {"text": 2}
    named = index.add([films / "app.ts", films / "red.mp4"])
    ((path, reason),) = [(item.path.name, item.reason) for item in named.unreadable]
    assert (path, reason) == ("app.ts", "text, neither a video nor a picture")


def test_whatever_is_named_gets_an_answer(index: Index, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a red film")
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(NOISE)
    os.mkfifo(tmp_path / "pipe")
    paths = [tmp_path / name for name in ("empty", "noise", "notes.txt", "pipe")]
    report = index.add(paths)
    assert index.videos() == ()
    assert {item.path.name: item.reason for item in report.unreadable} == {
        "empty": "empty file",
        "noise": "neither a video nor a picture, or damaged at its start",
        "notes.txt": "text, neither a video nor a picture",
        "pipe": "not an ordinary file",
    }


@pytest.mark.slow
def test_a_note_is_told_by_every_run_and_by_the_status(index: Index, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    content = write_video(tmp_path / "whole.mkv", ["red", "green"], seconds=8).read_bytes()
    (films / "cut.mkv").write_bytes(content[: len(content) // 2])
    for _ in range(2):
        report = index.add(films)
        assert [video.path.name for video in report.notes] == ["cut.mkv"]
    assert report.as_dict()["notes"] == [
        {"path": str(films / "cut.mkv"), "reason": index.videos()[0].reason}
    ]
    assert index.status().num_notes == 1


@pytest.mark.slow
def test_what_is_missing_is_counted(index: Index, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for colour in ("red", "green", "blue"):
        write_video(films / f"{colour}.mp4", [colour])
    index.add(films)
    (films / "red.mp4").unlink()
    report = index.add(films)
    assert report.missing == index.status().missing == (films / "red.mp4",)
    assert report.as_dict()["missing"] == index.status().as_dict()["missing"]
    assert index.status().as_dict()["num_missing"] == 1
    assert index.add(films, prune=True).missing == index.status().missing == ()
