"""Files cut short in containers whose demuxers do not say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import Fraction, barcode, draw, frames_of


def noisy(number: int) -> np.ndarray:
    """Enough to encode that a frame has many bytes."""
    picture = barcode(number)
    picture[32:] = np.random.default_rng(number).integers(0, 255, picture[32:].shape)
    return picture


GROUPS = {"options": {"g": "8"}}
VPX = {"options": {"g": "8", "deadline": "realtime"}}
AT_25 = {"tick": Fraction(1, 25), "rate": 25}
FILES: dict[str, dict[str, Any]] = {
    "a.nut": {"codec": "ffv1"},
    "b-frames.nut": {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}},
    "a.y4m": {"codec": "wrapped_avframe"},
    "a.flv": {"codec": "flv", **GROUPS},
    "a.ogv": {"codec": "libvpx", **VPX},
    "live.webm": {"codec": "libvpx", **VPX, "container": {"live": "1"}},
    "live.mkv": {"codec": "mpeg4", **GROUPS, "container": {"live": "1"}},
    "a.mxf": {"codec": "mpeg2video", **GROUPS, **AT_25},
    "a.rm": {
        "codec": "rv10",
        **GROUPS,
        "picture": lambda number: np.tile(barcode(number), (2, 2, 1)),
    },
    "a.swf": {"codec": "flv", **GROUPS, "tick": Fraction(1, 10)},
    "a.wmv": {"codec": "wmv2", "options": {"g": "8"}},
    "a.vob": {"codec": "mpeg2video", "options": {"g": "8"}, **AT_25},
    "a.mpg": {"codec": "mpeg1video", "options": {"g": "8"}, **AT_25},
    "a.gif": {"codec": "gif", "pixel_format": "rgb8"},
}


# Only a decoder can tell, and it cannot where the last frame lacks less than it needs.
BARE: dict[str, dict[str, Any]] = {
    "a.h264": {"options": {"g": "8", "bf": "0"}, "picture": noisy},
    "b-frames.h264": {"options": {"g": "8", "bf": "2"}, "picture": noisy},
    "a.m2v": {"codec": "mpeg2video", "options": {"g": "8", "b": "4M"}, "picture": noisy, **AT_25},
    "a.mjpeg": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_anywhere_says_so(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, **FILES[file])
    content = path.read_bytes()
    assert frames_of(path, frames=4).note == ""
    for percent in (40, 63, 85, 97):
        path.write_bytes(content[: len(content) * percent // 100])
        assert "truncated after" in frames_of(path, frames=4).note, percent


@pytest.mark.parametrize("file", BARE)
def test_a_bare_stream_cut_in_a_frame_says_so(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, **BARE[file])
    content = path.read_bytes()
    assert frames_of(path, frames=4).note == ""
    for percent in (40, 63, 85, 97):
        path.write_bytes(content[: len(content) * percent // 100])
        assert "truncated after" in frames_of(path, frames=4).note, percent


@pytest.mark.parametrize("file", FILES)
def test_what_follows_the_end_is_no_cut(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, **FILES[file])
    path.write_bytes(path.read_bytes() + bytes(700))
    assert "truncated" not in frames_of(path, frames=4).note


@pytest.mark.parametrize("hidden", [b"duration", b"filesize"])
def test_either_of_its_facts_tells_that_an_flv_is_cut(tmp_path: Path, hidden: bytes) -> None:
    """And its last part without any, where the cut is in it."""
    path = draw(tmp_path / "a.flv", **FILES["a.flv"])
    content = path.read_bytes().replace(hidden, b"x" * 8)
    path.write_bytes(content)
    assert frames_of(path, frames=4).note == ""
    path.write_bytes(content[: len(content) * 3 // 4])
    assert "truncated after" in frames_of(path, frames=4).note
    path.write_bytes(
        path.read_bytes().replace(b"duration", b"x" * 8).replace(b"filesize", b"y" * 8)
    )
    assert "truncated after" in frames_of(path, frames=4).note


def test_the_last_part_of_a_matroska_file_may_be_anything(tmp_path: Path) -> None:
    """One whose recorder was stopped between two parts is as whole as it can be."""
    path = draw(tmp_path / "live.mkv", **FILES["live.mkv"])
    content = path.read_bytes()
    last = content.rindex(bytes.fromhex("1f43b675"))
    path.write_bytes(content[:last])
    assert frames_of(path, frames=4).note == ""
    path.write_bytes(content[: last + 4])
    assert "truncated after" in frames_of(path, frames=4).note


def test_a_recording_that_does_not_know_its_size_is_not_called_cut(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.wmv", **FILES["a.wmv"])
    content = bytearray(path.read_bytes())
    place = content.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    content[place + 40 : place + 48] = bytes(8)
    content[place + 88] |= 1
    path.write_bytes(content)
    assert frames_of(path, frames=4).note == ""


@pytest.mark.parametrize("file", ["a.mkv", "a.nut", "a.webm"])
def test_a_part_of_a_film_with_its_old_times_is_not_called_cut(tmp_path: Path, file: str) -> None:
    """Its head says when it ends, counted from where the whole film began."""
    codec = {"codec": "libvpx", **VPX} if file == "a.webm" else {"codec": "mpeg4", **GROUPS}
    path = draw(tmp_path / file, **codec, shift_seconds=20)
    found = frames_of(path, frames=4)
    assert found.note == ""
    assert found.info.duration_seconds == pytest.approx(4.0, abs=0.05)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "truncated after" in frames_of(path, frames=4).note
