"""One line of time from clocks that start again, leap and wrap around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from drawn_videos import FPS, NUM, Fraction, barcode, draw, frames_of, numbers
from tempme.video import Frames, Reading, VideoInfo, load, probe
from tempme.video.containers import clock
from tempme.video.containers.clock import ALWAYS, Clock, Gap, Shift

GROUPS = {"g": "8", "bf": "2", "sc_threshold": "0"}
AT_25 = {"tick": Fraction(1, 25), "prepare": lambda s: setattr(s.codec_context, "framerate", 25)}
JOINED: dict[str, dict[str, Any]] = {
    "a.ts": {"options": GROUPS},
    "a.vob": {"codec": "mpeg2video", "options": GROUPS, **AT_25},
    "a.mpg": {"codec": "mpeg2video", "options": {"g": "8"}, **AT_25},
    "a.mkv": {"options": GROUPS},
    "a.webm": {"codec": "libvpx", "options": {"g": "8", "deadline": "realtime"}},
    "a.flv": {"codec": "flv", "options": {"g": "8"}},
    "b.flv": {"options": GROUPS},
}
# What stands before the first tag of an FLV file: a stream taken up again has none.
FLV_HEAD = 13


def two_in_one(folder: Path, file: str) -> tuple[Path, float]:
    """A file of frames 0 to 39 and 100 to 129, whose clock starts again, and a frame's seconds."""
    how = JOINED[file]
    step = 1 / 25 if file in ("a.vob", "a.mpg") else 1 / FPS
    parts = []
    for first, count in ((0, NUM), (100, 30)):
        path = draw(
            folder / f"{first} {file}",
            times=[i * step for i in range(count)],
            picture=lambda number, first=first: barcode(first + number),
            **how,
        )
        parts.append(path.read_bytes())
    second = parts[1][FLV_HEAD:] if file.endswith("flv") else parts[1]
    path = folder / file
    path.write_bytes(parts[0] + second)
    return path, step


@pytest.mark.parametrize("file", JOINED)
def test_recordings_joined_byte_by_byte_follow_each_other(tmp_path: Path, file: str) -> None:
    path, step = two_in_one(tmp_path, file)
    asked = [(i + 0.5) * step for i in range(NUM + 30)]
    found = frames_of(path, seconds=asked, sampling="exact")
    assert numbers(found) == [*range(NUM), *range(100, 130)]
    assert found.seconds == pytest.approx([i * step for i in range(NUM + 30)], abs=0.01)
    assert found.info.duration_seconds == pytest.approx((NUM + 30) * step, abs=0.02)
    assert "not used" not in found.note
    keys = frames_of(path, frames=5, sampling="keyframes")
    assert [found.seconds[n if n < 100 else n - 60] for n in numbers(keys)] == pytest.approx(
        keys.seconds, abs=0.01
    )


LEAPS = {
    "second 100 s ahead": (0.0, 100.0),
    "second half an hour ahead": (0.0, 1800.0),
    "second a day ahead": (0.0, 86_000.0),
    "second behind": (50_000.0, 0.0),
    "second a little behind": (5.0, 2.0),
}


@pytest.mark.parametrize("name", LEAPS)
def test_transport_streams_with_other_clocks(tmp_path: Path, name: str) -> None:
    parts = []
    for place, start in enumerate(LEAPS[name]):
        path = draw(
            tmp_path / f"{place}.ts",
            times=[start + i / FPS for i in range(20)],
            picture=lambda number, place=place: barcode(100 * place + number),
            options=GROUPS,
        )
        parts.append(path.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    found = frames_of(path, seconds=[(i + 0.5) / FPS for i in range(40)], sampling="exact")
    assert numbers(found) == [*range(20), *range(100, 120)]
    assert found.info.duration_seconds == pytest.approx(4.0, abs=0.02)
    assert found.note == ""


@pytest.mark.parametrize("seconds_to_go", [0.0, 2.0, 100.0])
def test_the_clock_of_33_bits_wraps_around(tmp_path: Path, seconds_to_go: float) -> None:
    wrap = 2**33 / 90_000
    step = 0.1 if seconds_to_go < 100 else 5.0
    times = [wrap - 1.4 - seconds_to_go + i * step for i in range(NUM)]
    path = draw(tmp_path / "a.ts", times=times, options=GROUPS)
    found = frames_of(path, seconds=[(i + 0.5) * step for i in range(NUM)], sampling="exact")
    assert numbers(found) == list(range(NUM))
    assert found.info.duration_seconds == pytest.approx(NUM * step, abs=0.02)
    assert found.note == ""


@pytest.mark.parametrize("file", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize("minutes", [1, 75])
def test_a_long_still_is_believed(tmp_path: Path, file: str, minutes: int) -> None:
    times = [i / FPS + (60 * minutes if i >= 20 else 0) for i in range(NUM)]
    path = draw(tmp_path / file, times=times, options=GROUPS)
    found = frames_of(path, seconds=[t + 0.05 for t in times], sampling="exact")
    assert numbers(found) == list(range(NUM))
    assert found.info.duration_seconds == pytest.approx(60 * minutes + 4, abs=0.02)
    assert found.note == ""


def test_a_leap_that_the_container_does_not_agree_with_is_closed(tmp_path: Path) -> None:
    """A Matroska file whose last clusters claim to be two hours later, and whose head does not."""
    times = [i / FPS + (7200 if i >= 24 else 0) for i in range(NUM)]
    path = draw(tmp_path / "a.mkv", times=times, options={**GROUPS, "bf": "0"})
    content = path.read_bytes()
    with av.open(str(path)) as file:
        stated = file.duration / 1e3
    told = np.array([stated], ">f8").tobytes()
    assert content.count(told) == 1
    path.write_bytes(content.replace(told, np.array([4000.0], ">f8").tobytes()))
    found = frames_of(path, seconds=[(i + 0.5) / FPS for i in range(NUM)], sampling="exact")
    assert numbers(found) == list(range(NUM))
    assert found.info.duration_seconds == pytest.approx(4.0, abs=0.1)


def with_sound_first(path: Path, lead: float, **how: Any) -> Path:
    """Sound from second 0, pictures from `lead` on."""
    silent = draw(path.with_name(f"silent.{path.suffix[1:]}"), **how)
    with av.open(str(silent)) as pictures, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(pictures.streams.video[0])
        sound = out.add_stream("aac", rate=16000)
        for block in range(round((lead + 4) * 16000 / 1024)):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), "float32"), "fltp", "mono")
            samples.sample_rate, samples.pts = 16000, block * 1024
            out.mux(sound.encode(samples))
        out.mux(sound.encode(None))
        for packet in pictures.demux(video=0):
            if packet.size:
                shift = round(Fraction(lead) / packet.time_base)
                packet.stream = video
                packet.pts += shift
                packet.dts = packet.dts + shift if packet.dts is not None else packet.pts
                out.mux(packet)
    return path


@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
def test_the_sound_begins_first(tmp_path: Path, file: str) -> None:
    path = with_sound_first(tmp_path / file, 3.0, options={"g": "8", "bf": "0"})
    info = probe(path)
    assert isinstance(info, VideoInfo)
    assert info.start_seconds == pytest.approx(3.0, abs=0.1)
    assert info.duration_seconds == pytest.approx(7.0, abs=0.1)
    asked = [info.start_seconds + (i + 0.5) / FPS for i in range(NUM)]
    found = load(path, Reading(size=64, sampling="exact"), seconds=asked)
    assert isinstance(found, Frames)
    assert numbers(found) == list(range(NUM))
    first = load(path, Reading(size=64, sampling="exact"), seconds=[0.0])
    assert isinstance(first, Frames)
    assert first.seconds[0] == pytest.approx(info.start_seconds)


def test_negative_first_times(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.nut", codec="mpeg4", options={"g": "8"}, tick=Fraction(1, FPS))
    info = probe(path)
    assert isinstance(info, VideoInfo)
    assert (info.num_frames, info.note) == (NUM, "")


def test_stretches_by_times_of_showing_are_not_misled_by_reordering() -> None:
    one = np.array([0, 40, 20, 10, 30, 80, 60, 50, 70])
    both = np.concatenate([one, one])
    assert clock.stretches(one, None, [0, 5], slack=1) == []
    assert clock.stretches(both, None, [0, 5, 9, 14], slack=1) == [9]


def test_gaps_are_closed_where_the_whole_is_then_nearer_to_what_is_stated() -> None:
    long, short = Gap(100, 1100), Gap(2000, 2300)
    assert clock.disbelieved([long, short], 5000, 5000) == set()
    assert clock.disbelieved([long, short], 5000, 4000) == {long}
    assert clock.disbelieved([long, short], 5000, 4700) == {short}
    assert clock.disbelieved([long, short], 5000, 3600) == {long, short}


def test_a_clock_moves_each_packet_by_its_stretch_and_its_time() -> None:
    shifts = (Shift(0, ALWAYS, 0), Shift(0, 50, -30), Shift(3, ALWAYS, 40), Shift(3, 20, 25))
    made = Clock(shifts)
    times = np.array([0, 10, 50, 0, 20, 30])
    moved = [0, 10, 20, 40, 45, 55]
    assert made.applied(times).tolist() == moved
    assert [t + made.shift_of(i, t) for i, t in enumerate(times.tolist())] == moved
    assert clock.chain(np.array([0, 10, 50, 0, 20]), [3], {Gap(10, 50)}, 10).shifts == (
        Shift(0, ALWAYS, 0),
        Shift(0, 50, -15),
        Shift(3, ALWAYS, 60),
    )


SECOND_UNSEEN: dict[str, dict[str, Any]] = {
    "a.flv": {"codec": "flv"},
    "a.mp4": {},
    "a.wmv": {"codec": "wmv2"},
    "a.nut": {"codec": "mpeg4"},
    "a.y4m": {"codec": "wrapped_avframe", "tick": Fraction(1, 10)},
    "a.ivf": {"codec": "libvpx", "options": {"g": "8", "deadline": "realtime"}},
    "a.apng": {"codec": "apng", "pixel_format": "rgb24"},
    "a.swf": {"codec": "flv", "tick": Fraction(1, 10)},
}


@pytest.mark.parametrize("file", SECOND_UNSEEN)
def test_a_second_file_that_no_player_reaches_is_spoken_of(tmp_path: Path, file: str) -> None:
    path = draw(tmp_path / file, **{"options": {"g": "8"}, **SECOND_UNSEEN[file]})
    assert frames_of(path, seconds=[0.05]).note == ""
    path.write_bytes(path.read_bytes() * 2)
    found = frames_of(path, seconds=[0.05, 3.95], sampling="exact")
    assert numbers(found) == [0, 39]
    assert "another recording follows in the file" in found.note
    assert "truncated" not in found.note


def test_a_second_file_that_is_read_is_not_called_unused(tmp_path: Path) -> None:
    """The demuxer of NUT goes on where the second one begins with a keyframe in its reach."""
    path = draw(tmp_path / "a.nut", codec="rawvideo")
    path.write_bytes(path.read_bytes() * 2)
    found = frames_of(path, frames=4)
    assert found.info.num_frames >= 2 * NUM
    assert found.note == ""
