"""Transport streams that end early are noticed, and whole ones are not suspected."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import barcode, draw
from tempme.video import VideoInfo, probe
from tempme.video.containers.transport import End, end_of

GROUPS = {"g": "10", "bf": "2"}
PACKET = 188


def grainy(number: int) -> np.ndarray:
    grain = np.random.default_rng(number).integers(0, 64, (64, 64, 3), dtype=np.uint8)
    return (barcode(number) * 0.7).astype(np.uint8) + grain


def note_of(path: Path) -> str:
    info = probe(path)
    assert isinstance(info, VideoInfo), info
    return info.note


@pytest.mark.parametrize(
    "how",
    [
        {"options": GROUPS, "picture": grainy},
        {"options": {"g": "10", "bf": "0"}, "picture": grainy},
        {"options": GROUPS},
        {"codec": "mpeg2video", "options": {"g": "10"}, "picture": grainy},
    ],
    ids=["b-frames", "no b-frames", "still", "mpeg2"],
)
def test_whole_streams_are_not_suspected(tmp_path: Path, how: dict[str, Any]) -> None:
    if how.get("codec"):
        how = {**how, "times": [i / 25 for i in range(44)], "tick": Fraction(1, 25)}
        how["prepare"] = lambda s: setattr(s.codec_context, "framerate", 25)
    for frames in range(40, 44):
        kept = {**how, "times": how["times"][:frames]} if "times" in how else how
        assert note_of(draw(tmp_path / f"{frames}.ts", frames=frames, **kept)) == ""


def test_streams_cut_between_two_packets(tmp_path: Path) -> None:
    """All but those cut right between two frames, of which nothing tells, are noticed."""
    whole = draw(tmp_path / "a.ts", frames=50, options=GROUPS, picture=grainy).read_bytes()
    packets = len(whole) // PACKET
    silent = []
    cut = tmp_path / "cut.ts"
    for lost in range(1, 40):
        cut.write_bytes(whole[: (packets - lost) * PACKET])
        if not note_of(cut).startswith("truncated after "):
            silent.append(lost)
            # The packet that comes next begins a part, after all frames of a group of B-frames.
            head = whole[(packets - lost) * PACKET :][:PACKET]
            assert head[1] & 0x40
    assert len(silent) <= 6


def test_the_end_of_a_part_is_read_off_its_packets(tmp_path: Path) -> None:
    whole = draw(tmp_path / "a.ts", frames=20, options=GROUPS, picture=grainy)
    content = whole.read_bytes()
    assert end_of(whole) is End.WHOLE
    for name, bytes_of, expected in (
        ("shorter", content[:-PACKET], {End.CUT, End.FULL, End.WHOLE}),
        ("odd", content[:-5], {End.CUT}),
        ("padded", content + bytes([0x47, 0x1F, 0xFF, 0x10]) + b"\xff" * 184, {End.WHOLE}),
        ("table last", content + content[:PACKET], {End.CUT}),
        ("out of step", content[:1000] + b"\0" + content[1000:], {End.CUT}),
        ("no transport stream", b"\0" * 1880, {End.WHOLE}),
    ):
        path = tmp_path / name
        path.write_bytes(bytes_of)
        assert end_of(path) in expected, name
