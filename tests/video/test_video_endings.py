"""Files cut short in containers whose demuxers do not say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drawn_videos import Fraction, draw, frames_of

AT_25 = {"tick": Fraction(1, 25), "prepare": lambda s: setattr(s.codec_context, "framerate", 25)}
FILES: dict[str, dict[str, Any]] = {
    "a.wmv": {"codec": "wmv2", "options": {"g": "8"}},
    "a.vob": {"codec": "mpeg2video", "options": {"g": "8"}, **AT_25},
    "a.mpg": {"codec": "mpeg1video", "options": {"g": "8"}, **AT_25},
    "a.gif": {"codec": "gif", "pixel_format": "rgb8"},
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_anywhere_says_so(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, **FILES[file])
    content = path.read_bytes()
    assert frames_of(path, frames=4).note == ""
    for percent in (40, 63, 85, 97):
        path.write_bytes(content[: len(content) * percent // 100])
        assert "truncated after" in frames_of(path, frames=4).note, percent


def test_what_follows_the_end_is_no_cut(tmp_path: Path) -> None:
    for file in FILES:
        path = draw(tmp_path / file, **FILES[file])
        path.write_bytes(path.read_bytes() + bytes(700))
        assert "truncated" not in frames_of(path, frames=4).note, file


def test_a_recording_that_does_not_know_its_size_is_not_called_cut(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.wmv", **FILES["a.wmv"])
    content = bytearray(path.read_bytes())
    place = content.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    content[place + 40 : place + 48] = bytes(8)
    content[place + 88] |= 1
    path.write_bytes(content)
    assert frames_of(path, frames=4).note == ""
