from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempme.errors import BadSetting
from tempme.video import uniform_indices, windows
from tempme.video.sampling import nearest

CASES = json.loads((Path(__file__).parents[1] / "golden" / "fn_frame_sampling.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_uniform_indices_equal_the_published_code(case: dict) -> None:
    found = uniform_indices(
        case["num_frames"],
        case["fps"],
        frames=case["max_frames"],
        framerate=case["video_framerate"],
        start=case["start"],
        end=case["end"],
    )
    if case["positions"] is None:
        # The published code divides by zero here; ours takes every frame for a step.
        assert case["error"].startswith("ValueError")
        assert len(found) == case["max_frames"]
        assert list(found) == sorted(found)
        assert 0 <= found[0] <= found[-1] < case["num_frames"]
    else:
        assert list(found) == case["positions"]


@settings(deadline=None)
@given(
    num_frames=st.integers(1, 5000),
    fps=st.floats(0.1, 240),
    frames=st.integers(1, 128),
    start=st.none() | st.floats(0, 300),
    length=st.floats(-300, 300),
)
def test_uniform_indices_always_give_all_frames(
    num_frames: int, fps: float, frames: int, start: float | None, length: float
) -> None:
    end = None if start is None else start + length
    found = uniform_indices(num_frames, fps, frames=frames, start=start, end=end)
    assert len(found) == frames
    assert list(found) == sorted(found)
    assert found[0] >= 0
    assert found[-1] < num_frames


@settings(deadline=None)
@given(
    duration=st.floats(0, 2_000),
    frames=st.integers(1, 64),
    every=st.sampled_from([0.04, 0.5, 1.0, 1.7, 3.0]),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9]),
)
def test_windows_cover_the_whole_video(
    duration: float, frames: int, every: float, overlap: float
) -> None:
    if duration / every > 2_000:
        duration = every * 2_000
    cut = windows(duration, frames=frames, every_seconds=every, overlap=overlap)
    span = frames * every
    slack = 1e-6
    assert cut[0].start_seconds == 0
    assert cut[-1].end_seconds == pytest.approx(duration)
    step = max(1, round(frames * (1 - overlap))) * every
    for window in cut:
        assert len(window.seconds) == frames
        assert list(window.seconds) == sorted(window.seconds)
        assert window.start_seconds - slack <= window.seconds[0]
        assert window.seconds[-1] <= window.end_seconds + slack
        # Only a rest too short for a grid time of its own may lengthen a window.
        assert window.end_seconds - window.start_seconds <= span + 0.5 * every + slack
    for before, after in pairwise(cut):
        assert after.start_seconds <= before.end_seconds + slack
        assert before.start_seconds < after.start_seconds <= before.start_seconds + step + slack
    for before, after in pairwise(cut[:-1]):
        assert after.start_seconds - before.start_seconds == pytest.approx(step)


@settings(deadline=None)
@given(duration=st.floats(12.0, 4000), overlap=st.sampled_from([0.0, 0.5, 0.75]))
def test_windows_share_one_grid(duration: float, overlap: float) -> None:
    cut = windows(duration, overlap=overlap)
    if len(cut) > 1:
        distinct = {seconds for window in cut for seconds in window.seconds}
        assert all((seconds - 0.5).is_integer() for seconds in distinct)
        assert max(distinct) >= duration - 1.5


def test_short_video_is_one_window_over_which_the_times_spread() -> None:
    (only,) = windows(6.0, frames=12)
    assert (only.start_seconds, only.end_seconds) == (0.0, 6.0)
    assert only.seconds == pytest.approx([0.25 + 0.5 * i for i in range(12)])


def test_half_overlap_of_a_minute() -> None:
    starts = [window.start_seconds for window in windows(60.0)]
    assert starts == [0, 6, 12, 18, 24, 30, 36, 42, 48]


@pytest.mark.parametrize(
    "wrong",
    [{"frames": 0}, {"every_seconds": 0}, {"overlap": 1.0}, {"overlap": -0.1}],
)
def test_wrong_windows_are_refused(wrong: dict) -> None:
    with pytest.raises(BadSetting, match=next(iter(wrong))):
        windows(10.0, **wrong)


def test_nearest() -> None:
    assert [nearest((0, 10, 20), v) for v in (-5, 4, 5, 6, 19, 99)] == [0, 0, 0, 10, 20, 20]
