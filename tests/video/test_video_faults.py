"""Files that people have and that were once read wrong: what is right, by a model and by number."""

from __future__ import annotations

import pytest

from fault_files import (
    FAULTS,
    QUERY_A,
    QUERY_B,
    feature_of,
    feature_of_picture,
    info_of,
    score,
)
from tempme.video import Failure, Reading, VideoWindows, is_video, load_windows, probe


def test_joined_recordings_follow_each_other() -> None:
    info = info_of("joined.ts")
    assert (info.num_frames, info.note) == (132, "")
    assert info.duration_seconds == pytest.approx(11.0)
    assert score(QUERY_A, feature_of("joined.ts", 0, 6)) > 0.5
    assert score(QUERY_B, feature_of("joined.ts", 6, 11)) > 0.5


def test_a_screen_that_stood_still_for_75_minutes() -> None:
    info = info_of("still75min.mkv")
    assert (info.num_frames, info.note) == (600, "")
    assert info.duration_seconds == pytest.approx(4550)
    before, within, after = (
        score(QUERY_B, feature_of("still75min.mkv", start, start + 8))
        for start in (4500, 4524, 4541)
    )
    assert within > 0.5 > max(before, after)


@pytest.mark.parametrize(
    ("name", "begin", "first"), [("cut3.mkv", 17, 6.98), ("late_video.mp4", 30, 10)]
)
def test_seconds_are_those_of_a_player(name: str, begin: float, first: float) -> None:
    """The picture begins after the sound; B is shown for 20 s from `begin` on."""
    windows = load_windows(FAULTS / name, Reading(size=32))
    assert isinstance(windows, VideoWindows)
    assert windows.note == ""
    assert windows.info.start_seconds == pytest.approx(first, abs=0.01)
    assert windows.spans[0, 0] == pytest.approx(first, abs=0.01)
    assert windows.spans[-1, 1] == windows.info.duration_seconds == pytest.approx(first + 60, 0.2)
    assert windows.seconds[0] >= first
    assert score(QUERY_B, feature_of(name, begin + 0.1, begin + 12)) > 0.5
    assert score(QUERY_B, feature_of(name, begin - 8, begin - 0.2)) < 0.5
    assert score(QUERY_B, feature_of(name, begin + 8, begin + 19.9)) > 0.5
    assert score(QUERY_B, feature_of(name, begin + 20.1, begin + 28)) < 0.5


@pytest.mark.parametrize("name", ["preview_first.mp4", "preview_first.mkv"])
def test_a_preview_in_front_is_left_out_and_named(name: str) -> None:
    info = info_of(name)
    assert (info.codec, info.num_frames) == ("h264", 60)
    assert info.note == "left out: stream 0 (mjpeg, 160 x 90, 1 frame)"


@pytest.mark.parametrize("number", [1, 2])
def test_hdr_is_like_its_original(number: int) -> None:
    names = ["sdr1.mp4", "sdr2.mp4", "wide_left.mp4", "half_faststart.mp4", "joined.ts"]
    copy = feature_of(f"pq{number}.mp4")
    likeness = {name: float(feature_of(name) @ copy) for name in names}
    assert likeness[f"sdr{number}.mp4"] > 0.98
    assert max(likeness, key=lambda name: likeness[name]) == f"sdr{number}.mp4"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken.MTS", "not a video, or damaged at its start"),
        ("empty.MTS", "empty file"),
        ("junk.MTS", "not a video, or damaged at its start"),
        ("song.mkv", "no video stream: audio with a cover"),
        ("photo.HEIC", "a picture, not a video: it holds a single frame"),
        ("photo.jpg", "not a video (piped jpeg sequence)"),
    ],
)
def test_no_videos(name: str, reason: str) -> None:
    assert not is_video(FAULTS / name)
    assert probe(FAULTS / name) == Failure(FAULTS / name, reason)


def test_a_third_of_a_download_is_used_as_far_as_it_goes() -> None:
    info = info_of("half_faststart.mp4")
    assert info.num_frames == 212
    assert info.note == "truncated after 17.7 s: used what was there"


def test_one_picture_in_two_formats() -> None:
    likeness = feature_of_picture(FAULTS / "photo.HEIC") @ feature_of_picture(FAULTS / "photo.jpg")
    assert likeness > 0.99
