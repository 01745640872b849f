"""Whatever is wrong with a file: frames or a reason, never an exception, a hang or noise."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from drawn_videos import FPS, barcode, draw
from tempme.video import (
    Failure,
    Frames,
    Reading,
    VideoWindows,
    decode_many,
    is_video,
    load,
    load_windows,
    probe,
)
from tempme.video.containers.marks import SEGMENT

SOUND = {
    "mp4": ("a.mp4", {"options": {"bf": "2", "g": "10"}}),
    "fast.mp4": ("a.mp4", {"options": {"g": "10"}, "container": {"movflags": "faststart"}}),
    "fragments.mp4": (
        "a.mp4",
        {"options": {"g": "10"}, "container": {"movflags": "frag_keyframe+empty_moov"}},
    ),
    "mkv": ("a.mkv", {"options": {"bf": "2", "g": "10"}}),
    "ts": ("a.ts", {"options": {"g": "10"}}),
    "webm": ("a.webm", {"codec": "libvpx", "options": {"g": "10", "deadline": "realtime"}}),
    "avi": (
        "a.avi",
        {"codec": "mpeg4", "options": {"g": "10", "b": "4M"}, "tick": Fraction(1, FPS)},
    ),
    "gif": ("a.gif", {"codec": "gif", "pixel_format": "rgb8"}),
}
WAYS = ("cut to 5 %", "cut to 50 %", "cut to 90 %", "no head", "zeros inside", "flipped bits",
        "many flipped bits", "zeros at the head", "a part twice")  # fmt: skip


def grainy(number: int) -> np.ndarray:
    """A numbered frame with noise on it: most of the file is then pictures, not tables."""
    grain = np.random.default_rng(number).integers(0, 64, (64, 64, 3), dtype=np.uint8)
    return (barcode(number) * 0.7).astype(np.uint8) + grain


def damaged(data: bytes, way: str) -> bytes:
    """A copy of a sound file with one thing wrong with it."""
    rng = random.Random(way)
    size = len(data)
    copy = bytearray(data)
    if way.startswith("cut to"):
        return data[: size * int(way.split()[2]) // 100]
    if way == "no head":
        return data[size // 4 :]
    if way == "zeros inside":
        copy[size // 3 : size // 2] = bytes(size // 2 - size // 3)
    elif way == "zeros at the head":
        copy[:64] = bytes(64)
    elif way == "a part twice":
        return data[: size // 2] + data[size // 4 :]
    else:
        for _ in range(200 if way.startswith("many") else 5):
            copy[rng.randrange(size)] ^= 1 << rng.randrange(8)
    return bytes(copy)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    return {
        name: draw(folder / file, frames=60, picture=grainy, **how).read_bytes()
        for name, (file, how) in SOUND.items()
    }


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory, sound: dict[str, bytes]) -> list[Path]:
    """72 damaged files and those that are not a video at all."""
    folder = tmp_path_factory.mktemp("broken")
    paths = []
    for kind, data in sound.items():
        for way in WAYS:
            path = folder / f"{kind} {way}.{kind}"
            path.write_bytes(damaged(data, way))
            paths.append(path)
    return [*paths, *no_videos(folder)]


def no_videos(folder: Path) -> Iterator[Path]:
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"Hello, this is not a video.\n" * 50,
        "zeros.mkv": bytes(10_000),
        "noise.webm": random.Random(0).randbytes(50_000),
        "playlist.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://localhost/a.ts\n",
        "concat.ffconcat": b"ffconcat version 1.0\nfile 'a.mp4'\n",
        "subtitles.srt": b"1\n00:00:01,000 --> 00:00:02,000\nHello\n",
        "archive.zip": b"PK\x03\x04" + bytes(100),
        "colours.ans": b"\x1b[31mred\x1b[0m\r\n" * 100,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name
    for name in ("picture.png", "picture.jpg", "picture.webp", "picture.mp4"):
        kind = "PNG" if name.endswith("mp4") else None
        Image.new("RGB", (40, 30), "red").save(folder / name, kind)
        yield folder / name
    (folder / "folder.mp4").mkdir()
    (folder / "dangling.mp4").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.mp4")
    for name in ("folder.mp4", "dangling.mp4", "pipe.mp4", "missing.mp4", "a\0b.mp4"):
        yield folder / name


@pytest.mark.slow
def test_nothing_escapes(broken: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    assert len(broken) >= 60
    outcomes: dict[type, int] = {}
    for path in broken:
        for read in (probe, load, load_windows):
            found: Any = read(path, Reading(timeout_seconds=20))
            outcomes[type(found)] = outcomes.get(type(found), 0) + 1
            if isinstance(found, Failure):
                assert found.path == path
                assert found.reason
                assert "\n" not in found.reason
                assert "Error" not in found.reason
            elif isinstance(found, Frames):
                assert len(found.pixels) == len(found.seconds) == 12
        assert isinstance(is_video(path), bool)
    assert min(outcomes[kind] for kind in (Failure, Frames, VideoWindows)) > 10
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_workers_answer_for_every_file(broken: list[Path]) -> None:
    last = {}
    for path, answer in decode_many(broken, Reading(size=32, timeout_seconds=20), workers=2):
        if isinstance(answer, Failure) or answer.is_last:
            assert path not in last
            last[path] = answer
    assert set(last) == set(broken)


@pytest.mark.parametrize("percent", [40, 75, 97])
@pytest.mark.parametrize("kind", ["fast.mp4", "fragments.mp4", "mkv", "webm", "ts", "avi"])
def test_truncated_files_give_what_is_there(
    tmp_path: Path, sound: dict[str, bytes], kind: str, percent: int
) -> None:
    path = tmp_path / f"a.{kind}"
    content = sound[kind]
    path.write_bytes(content)
    whole = load(path, Reading(frames=4, size=64))
    assert isinstance(whole, Frames)
    assert whole.note == ""
    path.write_bytes(content[: len(content) * percent // 100 | 1])
    found = load(path, Reading(frames=4, size=64))
    assert isinstance(found, Frames), found
    seconds = found.info.duration_seconds
    assert 1.0 < seconds <= 6.0
    assert max(found.seconds) < seconds
    assert f"truncated after {seconds:.1f} s: used what was there" in found.note


@pytest.mark.parametrize("kind", ["mkv", "avi"])
def test_a_stopped_recording_is_not_called_truncated(
    tmp_path: Path, sound: dict[str, bytes], kind: str
) -> None:
    """A writer that was stopped has not filled in how long the file would be."""
    content = bytearray(sound[kind])
    if kind == "avi":
        content[4:8] = bytes(4)
    else:
        place = content.index(SEGMENT) + 4
        content[place : place + 8] = b"\1" + b"\xff" * 7
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    found = load(path, Reading(frames=4, size=64))
    assert isinstance(found, Frames)
    assert found.note == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.mp4", "empty file"),
        ("text.mp4", "not a video, or damaged at its start"),
        ("zeros.mkv", "not a video: it starts with zeros"),
        ("picture.mp4", "not a video (piped png sequence)"),
        ("folder.mp4", "a folder, not a file"),
        ("dangling.mp4", "no such file"),
        ("missing.mp4", "no such file"),
        ("pipe.mp4", "not an ordinary file"),
        (
            "mp4 cut to 50 %.mp4",
            "damaged: the part of the file that says where the frames are is missing",
        ),
    ],
)
def test_reasons(broken: list[Path], name: str, reason: str) -> None:
    (path,) = (p for p in broken if p.name == name)
    assert load(path) == Failure(path, reason)
    assert not is_video(path)


def test_no_permission(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=3)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path.chmod(0)
    assert load(path) == Failure(path, "permission denied")


def test_renamed_videos_are_told_by_content(tmp_path: Path, sound: dict[str, bytes]) -> None:
    for kind, data in sound.items():
        path = tmp_path / f"{kind}.txt"
        path.write_bytes(data)
        assert is_video(path)
        assert isinstance(load(path, Reading(frames=1)), Frames)
