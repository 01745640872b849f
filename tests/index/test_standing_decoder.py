"""One process reads the files of several calls, in whatever way the calls end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index_material import write_video
from loopback import descendants
from tempme.index.shards.standing import StandingDecoder
from tempme.video import Failure, Reading, VideoWindows, decode_many

READING = Reading(frames=4, size=32)


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    colours = ["red", "green", "blue", "yellow", "white"]
    made = [write_video(tmp_path / f"{name}.mp4", [name]) for name in colours]
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 5000)
    return [*made[:2], tmp_path / "bad.mp4", *made[2:]]


def workers() -> set[int]:
    import os

    return {pid for pid, told in descendants(os.getpid()).items() if "processes.program" in told}


@pytest.mark.slow
def test_calls_share_a_process_and_give_what_others_give(films: list[Path]) -> None:
    plain = dict(decode_many(films, READING, workers=1))
    before = workers()
    decode = StandingDecoder(READING, worker_memory_mb=1024)
    seen: dict[Path, VideoWindows | Failure] = {}
    processes = set()
    for batch in (films[:4], [], films[4:]):
        seen |= dict(decode(iter(batch)))
        processes |= workers() - before
    assert len(processes) == 1
    assert seen.keys() == plain.keys()
    for path, answer in plain.items():
        same(seen[path], answer)
    # Half a call: what it left in line is no answer of the next.
    half = decode(iter(films))
    next(half)
    half.close()
    assert [path for path, _ in decode(iter(films[:1]))] == films[:1]
    assert [path for path, _ in decode(iter(films[1:]))] == films[1:]
    decode.close()
    decode.close()


def same(one: VideoWindows | Failure, other: VideoWindows | Failure) -> None:
    if isinstance(one, Failure) or isinstance(other, Failure):
        assert one == other
    else:
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.spans, other.spans)
