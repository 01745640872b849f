"""The frame shown at each time, and what a file says of itself, in every container and codec."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from drawn_videos import FPS, GOP, NUM, SIDE, draw, frames_of, numbers
from tempme.video import VideoInfo, probe

X265 = {"x265-params": "log-level=none:keyint=8:min-keyint=8:pools=1:frame-threads=1"}
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": ("a.mp4", {"options": {**GOP, "bf": "0"}}),
    "h264 with b-frames": ("a.mp4", {"options": {**GOP, "bf": "3", "b_strategy": "0"}}),
    "h264 open groups": ("a.mp4", {"options": {**GOP, "bf": "3", "x264-params": "open-gop=1"}}),
    "h264 fragments": (
        "a.mp4",
        {"options": {**GOP, "bf": "2"}, "container": {"movflags": "frag_keyframe+empty_moov"}},
    ),
    "h264 mkv": ("a.mkv", {"options": {**GOP, "bf": "3"}}),
    "h264 transport stream": ("a.ts", {"options": {**GOP, "bf": "2"}}),
    "h264 10 bit": ("a.mp4", {"options": GOP, "pixel_format": "yuv420p10le"}),
    "hevc": ("a.mp4", {"codec": "libx265", "options": X265}),
    "hevc 10 bit": (
        "a.mkv",
        {"codec": "libx265", "options": X265, "pixel_format": "yuv420p10le"},
    ),
    "av1": (
        "a.mp4",
        {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=8:lp=1"}},
    ),
    "vp9": (
        "a.webm",
        {"codec": "libvpx-vp9", "options": {"g": "8", "deadline": "realtime", "cpu-used": "8"}},
    ),
    "vp8": ("a.webm", {"codec": "libvpx", "options": {"g": "8", "deadline": "realtime"}}),
    "mpeg4": ("a.mp4", {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}}),
    "mpeg4 avi": (
        "a.avi",
        {"codec": "mpeg4", "options": {"g": "8"}, "tick": Fraction(1, FPS)},
    ),
    "mpeg4 avi with b-frames": (
        "a.avi",
        {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}, "tick": Fraction(1, FPS)},
    ),
    "mpeg2 program stream": ("a.mpg", {"codec": "mpeg2video", "tick": Fraction(1, 25)}),
    "motion jpeg avi": (
        "a.avi",
        {"codec": "mjpeg", "pixel_format": "yuvj420p", "tick": Fraction(1, FPS)},
    ),
    "prores": ("a.mov", {"codec": "prores_ks", "pixel_format": "yuv422p10le"}),
    "ffv1": ("a.mkv", {"codec": "ffv1"}),
    "gif": ("a.gif", {"codec": "gif", "pixel_format": "rgb8", "tick": Fraction(1, 100)}),
    "flash": ("a.flv", {"codec": "flv", "options": {"g": "8"}}),
}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, list[float]]]:
    """Each format once: the file and the times at which its frames are shown."""
    made: dict[str, tuple[Path, list[float]]] = {}

    def make(name: str) -> tuple[Path, list[float]]:
        if name not in made:
            file, how = FORMATS[name]
            step = 1 / 25 if name == "mpeg2 program stream" else 1 / FPS
            if name == "mpeg2 program stream":
                how = {**how, "prepare": lambda s: setattr(s.codec_context, "framerate", 25)}
            times = [i * step for i in range(NUM)]
            folder = tmp_path_factory.mktemp("drawn")
            made[name] = draw(folder / file, times=times, **how), times
        return made[name]

    return make


@pytest.mark.parametrize("name", FORMATS)
def test_exact_gives_the_frame_shown_at_each_time(name: str, drawn: Any) -> None:
    path, times = drawn(name)
    step = times[1]
    asked = [time + step / 2 for time in times]
    found = frames_of(path, seconds=asked, sampling="exact")
    assert numbers(found) == list(range(NUM))
    assert found.seconds == pytest.approx(times, abs=0.002)
    assert found.note == ""


@pytest.mark.parametrize("name", FORMATS)
def test_each_frame_alone_equals_the_same_among_all(name: str, drawn: Any) -> None:
    path, times = drawn(name)
    for number in (0, 7, 8, 21, 39):
        found = frames_of(path, seconds=[times[number] + times[1] / 2], sampling="exact")
        assert numbers(found) == [number]


@pytest.mark.parametrize("name", FORMATS)
def test_keyframes_report_the_time_of_what_they_show(name: str, drawn: Any) -> None:
    path, times = drawn(name)
    found = frames_of(path, frames=6, sampling="keyframes")
    assert [times[n] for n in numbers(found)] == pytest.approx(found.seconds, abs=0.002)
    info = probe(path)
    assert isinstance(info, VideoInfo)
    if info.num_keyframes == 1:
        assert found.note == "keyframes too sparse: exact frames in 1 of 1 windows"
    elif info.num_keyframes == NUM // 8:
        assert {n % 8 for n in numbers(found)} == {0}


@pytest.mark.parametrize("name", FORMATS)
def test_probe(name: str, drawn: Any) -> None:
    path, times = drawn(name)
    info = probe(path)
    assert isinstance(info, VideoInfo)
    assert (info.width, info.height, info.num_frames) == (SIDE, SIDE, NUM)
    assert info.duration_seconds == pytest.approx(NUM * times[1], abs=0.02)
    assert info.rotation_degrees == 0
