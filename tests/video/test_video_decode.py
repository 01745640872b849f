"""Every frame wanted is the frame shown: read off the number that each frame carries."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from drawn_videos import FPS, GOP, NUM, SIDE, barcode, draw, frames_of, mux, number_of, numbers
from tempme.video import Failure, Frames, Reading, load, load_uniform, uniform_indices


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


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv"])
def test_one_frame(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, frames=1, picture=lambda _: barcode(77))
    for sampling in ("exact", "keyframes", "auto"):
        found = frames_of(path, frames=12, sampling=sampling)
        assert numbers(found) == [77] * 12
        assert found.seconds == (0.0,) * 12
        assert found.note == ""


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


def test_auto_takes_keyframes_where_they_are_dense_enough(tmp_path: Path) -> None:
    dense = draw(tmp_path / "dense.mp4", frames=120, options={**GOP, "g": "5"})
    sparse = draw(tmp_path / "sparse.mp4", frames=120, options={**GOP, "g": "60"})
    assert {n % 5 for n in numbers(frames_of(dense, frames=12, sampling="auto"))} == {0}
    exact = numbers(frames_of(sparse, frames=12, sampling="exact"))
    auto = numbers(frames_of(sparse, frames=12, sampling="auto"))
    assert auto == [60 if number == 55 else number for number in exact]
    keys = frames_of(sparse, frames=12, sampling="keyframes")
    assert set(numbers(keys)) == {0, 60}
    assert len(keys.seconds) == 12


def test_frames_come_in_the_order_asked(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4")
    found = frames_of(path, seconds=[3.05, 0.05, 2.05, 0.05], sampling="exact")
    assert numbers(found) == [30, 0, 20, 0]


def test_uniform_frames_by_number(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=95, options={"bf": "2"})
    found = load_uniform(path, Reading(frames=12, size=SIDE))
    assert isinstance(found, Frames)
    assert numbers(found) == list(uniform_indices(95, FPS, frames=12))


def test_time_limit(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4")
    failure = load(path, Reading(timeout_seconds=1e-9))
    assert failure == Failure(path, "timeout: nothing came for 1e-09 s")
