"""Every frame wanted is the frame shown: read off the number that each frame carries."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from drawn_videos import FPS, SIDE, barcode, draw, mux, number_of

from tempme.video import (
    Failure,
    Frames,
    VideoInfo,
    VideoWindows,
    iter_windows,
    load,
    load_uniform,
    load_windows,
    probe,
    uniform_indices,
)

NUM = 40
GOP = {"g": "8", "sc_threshold": "0"}
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


def frames_of(path: Path, **how: Any) -> Frames:
    found = load(path, size=SIDE, **how)
    assert isinstance(found, Frames), found
    return found


def numbers(frames: Frames) -> list[int]:
    return [number_of(picture) for picture in frames.pixels]


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


def test_variable_rate(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 0.9, 1.0, 3.5, 3.55, 3.6, 3.65, 6.0, 6.1]
    path = draw(tmp_path / "a.mp4", times=times, options={"bf": "2", "g": "4"})
    asked = [0.05, 0.15, 0.5, 0.95, 2.0, 3.4, 3.52, 3.62, 5.9, 6.05, 99.0]
    found = frames_of(path, seconds=asked, sampling="exact")
    assert numbers(found) == [0, 1, 2, 3, 4, 4, 5, 7, 8, 9, 10]
    assert found.seconds == pytest.approx([times[n] for n in numbers(found)])


@pytest.mark.parametrize("bframes", ["0", "3"])
def test_edit_list_hides_frames(tmp_path: Path, bframes: str) -> None:
    path = draw(
        tmp_path / "a.mp4",
        options={**GOP, "bf": bframes},
        container={"avoid_negative_ts": "disabled"},
        shift_seconds=-1.2,
    )
    with av.open(str(path)) as file:
        assert any(packet.is_discard for packet in file.demux(video=0)), "no edit list was made"
    with av.open(str(path)) as file:
        shown = [number_of(f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]
    assert shown == list(range(12, NUM))
    asked = [i / FPS + 0.05 for i in range(len(shown))]
    assert numbers(frames_of(path, seconds=asked, sampling="exact")) == shown
    keys = frames_of(path, seconds=[0.0, 1.3, 2.0], sampling="keyframes")
    assert numbers(keys) == [16, 24, 32]
    assert keys.seconds == pytest.approx((0.4, 1.2, 2.0))


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.ts"])
def test_second_0_is_the_first_frame_shown(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, times=[5 + i / FPS for i in range(20)], options={"bf": "2"})
    found = frames_of(path, seconds=[0.0, 0.05, 1.25], sampling="exact")
    assert numbers(found) == [0, 0, 12]
    assert found.seconds == pytest.approx((0, 0, 1.2), abs=0.002)
    assert found.info.duration_seconds == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.gif"])
def test_one_frame(tmp_path: Path, file: str) -> None:
    how = {"codec": "gif", "pixel_format": "rgb8"} if file == "a.gif" else {}
    path = draw(tmp_path / file, frames=1, picture=lambda _: barcode(77), **how)
    for sampling in ("exact", "keyframes", "auto"):
        found = frames_of(path, frames=12, sampling=sampling)
        assert numbers(found) == [77] * 12
        assert found.seconds == (0.0,) * 12
        assert found.note == ""


def quarters(width: int, height: int) -> np.ndarray:
    """Red, green over blue, white."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    picture[height // 2 :, width // 2 :] = 255
    return picture


def corners(pixels: np.ndarray) -> str:
    """The colours of the quarters, in reading order."""
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w"}
    low, high = pixels.shape[0] // 4, pixels.shape[0] * 3 // 4
    spots = [(low, low), (low, high), (high, low), (high, high)]
    return "".join(names[tuple(int(v > 127) for v in pixels[spot])] for spot in spots)


@pytest.mark.parametrize(
    ("degrees", "flips", "expected"),
    [
        (0, {}, "rgbw"),
        (90, {}, "gwrb"),
        (-90, {}, "brwg"),
        (180, {}, "wbgr"),
        (0, {"hflip": True}, "grwb"),
        (0, {"vflip": True}, "bwrg"),
    ],
)
def test_turned_and_mirrored(tmp_path: Path, degrees: int, flips: Any, expected: str) -> None:
    path = draw(
        tmp_path / "a.mp4",
        frames=3,
        picture=lambda _: quarters(96, 64),
        pixel_format="yuv444p",
        prepare=lambda stream: stream.set_display_rotation(degrees, **flips),
    )
    found = frames_of(path, frames=1, sampling="exact")
    assert corners(found.pixels[0]) == expected
    size = (found.info.width, found.info.height)
    assert size == ((64, 96) if degrees in (90, -90) else (96, 64))


@pytest.mark.parametrize(("aspect", "width", "height"), [((2, 1), 32, 64), ((1, 2), 64, 32)])
def test_stored_pixels_that_are_not_square(
    tmp_path: Path, aspect: tuple[int, int], width: int, height: int
) -> None:
    path = draw(
        tmp_path / "a.mp4",
        frames=3,
        picture=lambda _: barcode(0b10110101)[:height, :: SIDE // width],
        pixel_format="yuv444p",
        prepare=lambda s: setattr(s.codec_context, "sample_aspect_ratio", Fraction(*aspect)),
    )
    found = frames_of(path, frames=1)
    if aspect == (2, 1):
        assert (found.info.width, found.info.height) == (64, 64)
        assert numbers(found) == [0b10110101]
    else:
        # 64 x 32 with narrow pixels is a square of 32.
        assert (found.info.width, found.info.height) == (32, 32)
        assert numbers(found) == [0b10110101]


@pytest.mark.parametrize(("width", "height"), [(65, 33), (33, 65), (1, 1), (3, 640), (640, 3)])
def test_odd_and_extreme_sizes(tmp_path: Path, width: int, height: int) -> None:
    path = draw(
        tmp_path / "a.mkv",
        frames=2,
        codec="ffv1",
        pixel_format="yuv444p",
        picture=lambda _: np.full((height, width, 3), 200, dtype=np.uint8),
    )
    found = frames_of(path, frames=3)
    assert found.pixels.shape == (3, SIDE, SIDE, 3)
    assert np.abs(found.pixels.astype(int) - 200).max() <= 3


@pytest.mark.parametrize(
    ("file", "codec", "pixel_format"),
    [("a.mov", "qtrle", "argb"), ("a.mov", "png", "rgba"), ("a.mov", "prores_ks", "yuva444p10le")],
)
def test_transparent_parts_are_white(
    tmp_path: Path, file: str, codec: str, pixel_format: str
) -> None:
    def picture(_: int) -> np.ndarray:
        alpha = np.full((SIDE, SIDE, 1), 255, dtype=np.uint8)
        alpha[SIDE // 2 :] = 0
        return np.concatenate([np.zeros((SIDE, SIDE, 3), dtype=np.uint8), alpha], axis=2)

    path = draw(tmp_path / file, frames=2, codec=codec, pixel_format=pixel_format, picture=picture)
    found = frames_of(path, frames=1)
    assert found.pixels[0, : SIDE // 2 - 2].max() < 10
    assert found.pixels[0, SIDE // 2 + 2 :].min() > 245


def test_cover_art_is_not_the_video(tmp_path: Path) -> None:
    plain = draw(tmp_path / "plain.mp4", frames=20)
    path = tmp_path / "a.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        cover = out.add_stream("png", rate=1)
        cover.width = cover.height = 96
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        video = out.add_stream_from_template(source.streams.video[0])
        picture = av.VideoFrame.from_ndarray(np.zeros((96, 96, 3), dtype=np.uint8), "rgb24")
        mux(out, [*cover.encode(picture), *cover.encode(None)], 0)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    found = frames_of(path, seconds=[0.05, 1.55], sampling="exact")
    assert numbers(found) == [0, 15]


def with_sound(path: Path, cover: bool) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        picture = None
        if cover:
            picture = out.add_stream("png", rate=1)
            picture.width = picture.height = SIDE
            picture.pix_fmt = "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            art = av.VideoFrame.from_ndarray(barcode(1), "rgb24")
            mux(out, [*picture.encode(art), *picture.encode(None)], 0)
        for block in range(8):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
            sound.sample_rate, sound.pts = 16000, block * 1024
            mux(out, stream.encode(sound), 0)
        mux(out, stream.encode(None), 0)
    return path


@pytest.mark.parametrize("cover", [False, True])
def test_sound_alone_is_not_a_video(tmp_path: Path, cover: bool) -> None:
    path = with_sound(tmp_path / "a.mp4", cover)
    assert load(path) == Failure(path, "no video stream: audio only")


def test_windows_hold_each_frame_once(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=250, options={"bf": "2", "g": "30"})
    whole = load_windows(path, size=SIDE, sampling="exact")
    assert isinstance(whole, VideoWindows)
    assert whole.windows.shape == (4, 12)
    assert whole.spans.tolist() == [[0, 12], [6, 18], [12, 24], [13, 25]]
    assert [number_of(p) for p in whole.pixels] == [5 + 10 * i for i in range(25)]
    assert whole.seconds == pytest.approx([0.5 + i for i in range(25)])
    assert whole.windows[1].tolist() == list(range(6, 18))
    assert whole.windows[-1].tolist() == list(range(13, 25))


@pytest.mark.parametrize("sampling", ["exact", "keyframes", "auto"])
@pytest.mark.parametrize("piece_windows", [1, 2, 3])
def test_pieces_together_are_the_whole(tmp_path: Path, sampling: Any, piece_windows: int) -> None:
    path = draw(tmp_path / "a.mp4", frames=250, options={"bf": "2", "g": "20"})
    whole = load_windows(path, size=SIDE, sampling=sampling)
    assert isinstance(whole, VideoWindows)
    pieces = list(iter_windows(path, size=SIDE, sampling=sampling, piece_windows=piece_windows))
    assert all(isinstance(piece, VideoWindows) for piece in pieces)
    assert [p.piece for p in pieces] == list(range(len(pieces)))
    assert [p.is_last for p in pieces] == [False] * (len(pieces) - 1) + [True]
    np.testing.assert_array_equal(np.concatenate([p.spans for p in pieces]), whole.spans)
    for attribute in ("pixels", "seconds"):
        parts = [getattr(p, attribute)[p.windows] for p in pieces]
        expected = getattr(whole, attribute)[whole.windows]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_auto_takes_keyframes_where_they_are_dense_enough(tmp_path: Path) -> None:
    dense = draw(tmp_path / "dense.mp4", frames=120, options={**GOP, "g": "5"})
    sparse = draw(tmp_path / "sparse.mp4", frames=120, options={**GOP, "g": "60"})
    assert {n % 5 for n in numbers(frames_of(dense, frames=12, sampling="auto"))} == {0}
    exact = numbers(frames_of(sparse, frames=12, sampling="exact"))
    assert numbers(frames_of(sparse, frames=12, sampling="auto")) == exact
    keys = frames_of(sparse, frames=12, sampling="keyframes")
    assert set(numbers(keys)) == {0, 60}
    assert len(keys.seconds) == 12


def test_frames_come_in_the_order_asked(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4")
    found = frames_of(path, seconds=[3.05, 0.05, 2.05, 0.05], sampling="exact")
    assert numbers(found) == [30, 0, 20, 0]


def test_uniform_frames_by_number(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=95, options={"bf": "2"})
    found = load_uniform(path, frames=12, size=SIDE)
    assert isinstance(found, Frames)
    assert numbers(found) == list(uniform_indices(95, FPS, frames=12))


def test_max_windows_keeps_first_and_last(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=250)
    some = load_windows(path, size=SIDE, max_windows=2)
    assert isinstance(some, VideoWindows)
    assert some.spans.tolist() == [[0, 12], [13, 25]]


def test_time_limit(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4")
    failure = load(path, timeout_seconds=0.0)
    assert failure == Failure(path, "timeout: nothing came for 0 s")
