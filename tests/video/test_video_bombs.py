"""Files that claim or unfold to more than they are: 1 GB of memory is enough for any.

Each is read in a process of its own, whose peak of resident memory is looked at.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drawn_videos import barcode, draw, frames_of
from tempme.errors import BadSetting
from tempme.video import (
    Failure,
    Reading,
    VideoInfo,
    VideoWindows,
    iter_windows,
    load_windows,
    probe,
)

READ = """
import json, sys
from pathlib import Path
from tempme.video import Failure, Reading, iter_windows
last, windows = None, 0
for last in iter_windows(sys.argv[1], Reading(**json.loads(sys.argv[2]))):
    windows += 0 if isinstance(last, Failure) else len(last.spans)
# Not what the parent held before this program began, which `getrusage` would tell.
held = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
peak = int(held) / 1024
print(json.dumps({
    "said": last.reason if isinstance(last, Failure) else last.note,
    "is_failure": isinstance(last, Failure), "windows": windows, "peak_mb": peak}))
"""


def read_apart(path: Path, **how: object) -> dict:
    """What comes of a file in a fresh process, and the peak of its memory in MB."""
    command = [sys.executable, "-c", READ, str(path), json.dumps(how)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def gif(width: int, height: int, pictures: int = 40) -> bytes:
    """A canvas of any size in a few bytes; its pictures are rubbish."""
    colours = bytes([0, 0, 0, 255, 255, 255])
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + colours
    picture = b"\x21\xf9\x04\x04\x0a\x00\x00\x00\x2c" + struct.pack(
        "<HHHHB", 0, 0, width, height, 0
    )
    return head + (picture + b"\x02\x02\x44\x01\x00") * pictures + b"\x3b"


def mp4(frames: int, *, fragment: bool = False) -> bytes:
    """An MP4 whose tables speak of so many frames of the same size; none is there."""
    entry = (
        bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", 64, 64) + numbers(0x480000, 0x480000)
    )
    entry += bytes(4) + b"\0\1" + bytes(32) + struct.pack(">Hh", 24, -1)
    count = 0 if fragment else frames
    table = box(
        b"stbl",
        box(b"stsd", numbers(0, 1), box(b"mp4v", entry)),
        box(b"stts", numbers(0, 1, count, 1)),
        box(b"stsz", numbers(0, 1, count)),
        box(b"stsc", numbers(0, 1, 1, count, 1)),
        box(b"stco", numbers(0, 1, 40)),
    )
    matrix = numbers(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    media = box(
        b"mdia",
        box(b"mdhd", numbers(0, 0, 0, 1000, count, 0)),
        box(b"hdlr", numbers(0, 0), b"vide", bytes(13)),
        box(b"minf", box(b"vmhd", bytes(12)), table),
    )
    header = numbers(7, 0, 0, 1, 0, count) + bytes(16) + matrix + numbers(64 << 16, 64 << 16)
    movie = numbers(0, 0, 0, 1000, count, 0x10000) + b"\1\0" + bytes(10) + matrix + bytes(24)
    extends = box(b"mvex", box(b"trex", numbers(0, 1, 1, 1, 1, 0))) if fragment else b""
    parts = [box(b"ftyp", b"isom\0\0\2\0isom"), box(b"mdat", bytes(1000))]
    parts.append(
        box(
            b"moov",
            box(b"mvhd", movie, numbers(2)),
            box(b"trak", box(b"tkhd", header), media),
            extends,
        )
    )
    if fragment:
        run = box(b"trun", numbers(0, frames))
        parts.append(
            box(
                b"moof", box(b"mfhd", numbers(0, 1)), box(b"traf", box(b"tfhd", numbers(0, 1)), run)
            )
        )
    return b"".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.gif",
            gif(11585, 11585),
            "frames of 11585 x 11585 are too large: the limit is max_pixels",
        ),
        (
            "b.gif",
            gif(65535, 65535),
            "frames of 65535 x 65535 are too large: the limit is max_pixels",
        ),
        ("a.mp4", mp4(50_000_000), "the file claims 50000000 frames: the limit is max_frames"),
        ("b.mp4", mp4(50_000_000, fragment=True), "the file claims 50000000 frames: the limit is"),
        ("c.mp4", mp4(4_900_000), ""),
        ("c.gif", gif(5792, 5792), ""),
    ],
)
def test_claims_cost_no_memory(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = read_apart(path)
    assert found["peak_mb"] < 1024
    assert not said or found["is_failure"]
    assert found["said"].startswith(said)


@pytest.mark.slow
def test_frames_do_not_outlive_their_use(tmp_path: Path) -> None:
    """60 frames of 4K, turned: with every frame kept they would be 750 MB."""
    grey = np.zeros((2160, 3840, 3), dtype=np.uint8)
    path = draw(
        tmp_path / "a.mp4",
        frames=60,
        picture=lambda number: grey + np.uint8(number),
        options={"preset": "ultrafast", "g": "30"},
        prepare=lambda stream: stream.set_display_rotation(90),
    )
    found = read_apart(path, every_seconds=0.1, sampling="exact")
    assert found["windows"] > 5
    assert found["peak_mb"] < 400


def test_stills_an_hour_apart_make_no_more_windows_than_are_wanted(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mkv", times=[3600.0 * i for i in range(30)], options={"g": "1"})
    assert path.stat().st_size < 50_000
    reading = Reading(size=32, max_windows=50)
    pieces = list(iter_windows(path, reading))
    assert all(isinstance(piece, VideoWindows) for piece in pieces)
    spans = np.concatenate([piece.spans for piece in pieces if isinstance(piece, VideoWindows)])
    assert len(spans) == 50
    assert spans[0, 0] == 0
    assert (spans[1:, 0] <= spans[:-1, 1]).all(), "all of it is covered"
    info = probe(path)
    assert isinstance(info, VideoInfo)
    assert spans[-1, 1] == pytest.approx(info.duration_seconds)
    note = pieces[-1].note  # type: ignore[union-attr]
    assert note.startswith("more windows than max_windows = 50: a frame every ")
    assert note.endswith(" s instead of 1 s")


def test_a_video_within_the_limit_is_cut_as_usual(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=250)
    for most in (4, 5, 1000):
        found = load_windows(path, Reading(size=32, max_windows=most))
        assert isinstance(found, VideoWindows)
        assert (len(found.spans), found.note) == (4, "")
    found = load_windows(path, Reading(size=32, max_windows=3))
    assert isinstance(found, VideoWindows)
    assert len(found.spans) == 3
    assert "max_windows = 3" in found.note


def test_limits_of_frames_and_pixels_are_settings(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mkv", frames=30)
    small = probe(path, Reading(max_pixels=64 * 63))
    assert small == Failure(path, "frames of 64 x 64 are too large: the limit is max_pixels = 4032")
    few = probe(path, Reading(max_frames=29))
    assert few == Failure(path, "more than 29 frames: the limit is max_frames = 29")
    assert isinstance(probe(path, Reading(max_frames=30, max_pixels=64 * 64)), VideoInfo)
    for name in ("max_pixels", "max_frames", "max_windows", "elapsed_seconds"):
        with pytest.raises(BadSetting, match=f"{name} is 0"):
            Reading(**{name: 0})


@pytest.mark.slow
def test_the_time_of_the_whole_counts_what_the_taker_needs(tmp_path: Path) -> None:
    import time

    path = draw(tmp_path / "a.mp4", frames=300, options={"g": "20"})
    reading = Reading(size=32, piece_windows=1, elapsed_seconds=2.0)
    pieces = []
    for piece in iter_windows(path, reading):
        pieces.append(piece)
        time.sleep(2.1)
    last = pieces[-1]
    assert isinstance(last, VideoWindows)
    assert last.note.startswith("timeout after 2 s: used the first ")
    assert last.is_last
    assert 1 <= len(pieces) <= 3


def test_a_ribbon_is_cut_before_it_is_enlarged(tmp_path: Path) -> None:
    wide = np.repeat(barcode(0b10110101)[:4], 100, axis=1)
    path = draw(tmp_path / "a.mkv", frames=2, codec="ffv1", picture=lambda _: wide)
    found = frames_of(path, frames=1, fit="squash")
    assert found.pixels.shape == (1, 64, 64, 3)
    assert frames_of(path, frames=1).pixels.shape == (1, 64, 64, 3)
