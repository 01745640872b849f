"""Sampling "auto": keyframes in the place of frames that show nearly the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import FPS, SIDE, barcode, draw, frames_of, numbers
from tempme.errors import BadSetting
from tempme.video import Reading, load_windows
from tempme.video.containers.source import Deadline
from tempme.video.containers.timeline import Timeline, read_timeline
from tempme.video.standing_in import NEAR, STILL, STILL_TOGETHER, StandIns

RNG = np.random.default_rng(0)
ROOM = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
GROUPS_OF_20 = {"g": "20", "sc_threshold": "0", "bf": "0"}


def still(_number: int) -> np.ndarray:
    return ROOM


def rolling(number: int) -> np.ndarray:
    return np.roll(RNG.permutation(ROOM.reshape(-1, 3)).reshape(ROOM.shape), number, axis=1)


def line_of(sizes: list[int], *, keys: list[int]) -> Timeline:
    """Frames at 0, 10, 20, ... of so many bytes, on no file."""
    shown = tuple(range(0, 10 * len(sizes), 10))
    times = tuple(10 * key for key in keys)
    from fractions import Fraction

    from tempme.video.containers.clock import Clock

    return Timeline(
        time_base=Fraction(1, 100),
        origin=0,
        end=10 * len(sizes),
        keys=times,
        shown_keys=times,
        shown=shown,
        seek_to=(),
        is_by_order=False,
        note="",
        clock=Clock(),
        stream=0,
        sizes=tuple(sizes),
    )


def taken(line: Timeline, step: int) -> list[int]:
    found = StandIns(line)
    return [found.for_frame(ticks, step) // 10 for ticks in line.shown]


def test_a_still_picture_is_that_of_its_keyframe_until_something_moves() -> None:
    sizes = [1000, 9, 20, 20, 21, 5, 1000, 5]
    assert taken(line_of(sizes, keys=[0, 6]), step=1) == [0, 0, 0, 0, 4, 5, 6, 6]


def test_much_that_is_little_each_time_is_movement_in_the_end() -> None:
    most = round(STILL_TOGETHER / STILL)
    sizes = [1000, *[20] * (most + 3)]
    assert taken(line_of(sizes, keys=[0]), step=1) == [0] * (most + 1) + [
        most + 1,
        most + 2,
        most + 3,
    ]


def test_a_near_keyframe_stands_in_where_that_spares_decoding() -> None:
    sizes = [1000, *[200] * 9] * 2
    # One wanted every four frames: what is two from a keyframe may be replaced by it, but what is
    # after it is decoded anyway on the way to those in the middle.
    found = taken(line_of(sizes, keys=[0, 10]), step=40)
    assert found[:10] == [0, 1, 2, 3, 4, 5, 6, 7, 10, 10]
    # Of groups as long as the step nothing else is wanted.
    short = line_of([1000, 200, 200, 200] * 4, keys=[0, 4, 8, 12])
    assert taken(short, step=40)[:9] == [0, 0, 4, 4, 4, 4, 8, 8, 8]
    assert taken(short, step=10)[:9] == list(range(9))


def test_a_near_keyframe_does_not_stand_in_where_all_has_changed() -> None:
    assert NEAR == 0.5
    calm, busy = ([1000, *[size] * 9] * 2 for size in (400, 1200))
    assert taken(line_of(calm, keys=[0, 10]), step=40)[8] == 10
    assert taken(line_of(busy, keys=[0, 10]), step=40)[8] == 8


def test_nothing_stands_in_where_sizes_are_not_known(tmp_path: Path) -> None:
    raw = draw(tmp_path / "a.h264", picture=still, options=GROUPS_OF_20)
    line = read_timeline(raw, Deadline(60))
    assert not line.sizes
    assert [StandIns(line).for_frame(t, 10**6) for t in line.shown] == list(line.shown)


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.ts"])
def test_sizes_are_those_of_the_packets(file: str, tmp_path: Path) -> None:
    path = draw(tmp_path / file, picture=still, options={"g": "20", "sc_threshold": "0"})
    line = read_timeline(path, Deadline(60))
    assert len(line.sizes) == len(line.shown)
    first, *rest = line.sizes[:20]
    assert first > 20 * max(rest)


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv"])
def test_a_film_that_stands_still_costs_its_keyframes(file: str, tmp_path: Path) -> None:
    path = draw(tmp_path / file, frames=100, picture=still, options=GROUPS_OF_20)
    reading = Reading(frames=4, size=SIDE, sampling="auto")
    found = load_windows(path, reading)
    exact = load_windows(path, Reading(frames=4, size=SIDE, sampling="exact"))
    assert set(found.seconds.tolist()) == {0.0, 2.0, 4.0, 6.0, 8.0}  # type: ignore[union-attr]
    apart = found.pixels[found.windows].astype(int) - exact.pixels[exact.windows]  # type: ignore
    assert np.abs(apart).mean() < 2


def test_a_film_that_moves_is_seen_exactly(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=100, picture=rolling, options=GROUPS_OF_20)
    auto, exact = (
        load_windows(path, Reading(frames=4, size=SIDE, sampling=sampling))
        for sampling in ("auto", "exact")
    )
    np.testing.assert_array_equal(auto.pixels, exact.pixels)  # type: ignore[union-attr]


def test_by_the_rule_of_before_whole_windows_are_keyframes(tmp_path: Path) -> None:
    dense = {"g": "5", "sc_threshold": "0"}
    path = draw(tmp_path / "a.mp4", frames=100, picture=rolling, options=dense)
    old, new = (
        load_windows(path, Reading(size=SIDE, sampling="auto", sampling_rule=rule))
        for rule in (1, 2)
    )
    assert {round(s * FPS) % 5 for s in old.seconds.tolist()} == {0}  # type: ignore[union-attr]
    assert {round(s * FPS) % 5 for s in new.seconds.tolist()} != {0}  # type: ignore[union-attr]


def test_a_time_asked_for_alone_is_answered_by_its_frame(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", picture=barcode, options={"g": "8", "sc_threshold": "0"})
    assert numbers(frames_of(path, seconds=[1.35], sampling="auto")) == [13]


@pytest.mark.parametrize("rule", [0, 3])
def test_there_are_two_rules(rule: Any) -> None:
    with pytest.raises(BadSetting, match="sampling_rule is"):
        Reading(sampling_rule=rule)
