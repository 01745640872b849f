"""Real clips, beside a plain sequential decode of each; skipped where the clips are not there."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from tempme.video import Frames, Reading, VideoInfo, is_video, load, probe
from tempme.video.transforms import square

FOLDER = Path(__file__).parents[3] / "shared" / "videos"
SUFFIXES = {".mp4", ".avi", ".mkv", ".gif"}
CLIPS = sorted(p for p in FOLDER.glob("*") if p.suffix in SUFFIXES) if FOLDER.is_dir() else []
pytestmark = pytest.mark.skipif(not CLIPS, reason=f"no real clips at {FOLDER}")


def test_there_are_113() -> None:
    assert len(CLIPS) == 113
    assert not is_video(FOLDER / "README.md")


@pytest.mark.slow
@pytest.mark.parametrize("path", CLIPS, ids=lambda p: p.name)
def test_same_frames_as_a_sequential_decode(path: Path) -> None:
    info = probe(path)
    assert isinstance(info, VideoInfo), info
    assert is_video(path)
    times = np.random.default_rng(0).uniform(0, info.duration_seconds, 6).tolist()
    found = load(path, Reading(sampling="exact"), seconds=times)
    keys = load(path, Reading(sampling="keyframes"), seconds=times)
    assert isinstance(found, Frames)
    assert isinstance(keys, Frames)
    wanted = {*found.seconds, *keys.seconds}
    shown, pictures = sequential(path, wanted)
    assert info.num_frames == len(shown)
    assert shown[-1] < info.duration_seconds <= shown[-1] + 3.5
    places = np.searchsorted(shown, np.array(times) + 1e-6, side="right") - 1
    assert found.seconds == pytest.approx(shown[places].tolist())
    for frames in (found, keys):
        for second, pixels in zip(frames.seconds, frames.pixels, strict=True):
            np.testing.assert_array_equal(pixels, pictures[round(second, 4)])


def sequential(path: Path, wanted: set[float]) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """The times of all frames and the squares of those wanted, by decoding everything."""
    seconds: list[float] = []
    pictures: dict[float, np.ndarray] = {}
    rounded = {round(second, 4) for second in wanted}
    with av.open(str(path)) as file:
        # One of the clips has two pictures of the same scene; the richer one is shown.
        stream = max(file.streams.video, key=lambda one: one.frames)
        aspect = float(stream.sample_aspect_ratio or 1)
        origin: int | None = None
        for number, frame in zip(itertools.count(), frames_of(file, stream), strict=False):
            # AVI keeps no times; with reordered frames PyAV's are wrong, so frames are counted.
            time = number if file.format.name == "avi" else frame.pts
            start = round(file.start_time / 1e6 / stream.time_base)
            origin = min(start, time) if origin is None else origin
            second = float((time - origin) * stream.time_base)
            seconds.append(second)
            if round(second, 4) in rounded:
                pictures[round(second, 4)] = square(frame, 224, pixel_aspect=aspect)
    return np.array(seconds), pictures


def frames_of(file: av.container.InputContainer, stream: av.VideoStream):
    for packet in file.demux(stream):
        yield from packet.decode()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("path", CLIPS, ids=lambda p: p.name)
def test_every_clip_opens(path: Path) -> None:
    found = load(path, Reading(size=32, sampling="exact"), seconds=[0.0, 0.2])
    assert isinstance(found, Frames), found
    assert found.pixels.shape == (2, 32, 32, 3)
    assert found.seconds[0] >= 0
