"""Seeking and the container's index change nothing but what is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from drawn_videos import SIDE, draw, number_of
from kinds_of_files import NUM, READING, SEEKING
from tempme.video import Frames, Reading, decode, load
from tempme.video.containers import mp4_times as sample_table
from tempme.video.containers import packets
from tempme.video.containers.source import Deadline, Source
from tempme.video.containers.timeline import Timeline, read_timeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seek")


@pytest.fixture(scope="module")
def drawn(folder: Path) -> dict[str, Path]:
    made = {}
    for name, (file, *_, how) in [*SEEKING.items(), *READING.items()]:
        path = folder / f"{name} {file}"
        made[name] = draw(path, frames=NUM, **how)
    return made


class Watched:
    """Seeks every time a group is passed over, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seeks = self.failed = 0
        seek = decode.Decoder._seek

        def counted(decoder: decode.Decoder, seek_to: int, key: int) -> Any:
            packet = seek(decoder, seek_to, key)
            self.seeks += 1
            self.failed += packet is None
            return packet

        monkeypatch.setattr(decode.Decoder, "_seek", counted)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def both_ways(path: Path, times: list[float], monkeypatch: pytest.MonkeyPatch) -> list[Frames]:
    """Frames by seeking wherever possible, and by reading on."""
    found = []
    for seek_from in (0, 10**9):
        monkeypatch.setattr(decode, "SEEK_FROM", seek_from)
        frames = load(path, Reading(size=SIDE, sampling="exact"), seconds=times)
        assert isinstance(frames, Frames), frames
        found.append(frames)
    return found


def by_decoding_all(path: Path) -> tuple[np.ndarray, list[int]]:
    """The seconds of all frames, and their numbers, by the plainest loop there is."""
    with av.open(str(path)) as file:
        shown = [(f.time, number_of(f.to_ndarray(format="rgb24"))) for f in file.decode(video=0)]
    seconds = np.array([time for time, _ in shown])
    return seconds - seconds[0], [number for _, number in shown]


@pytest.mark.parametrize("name", SEEKING)
@pytest.mark.one_in(2)
def test_the_same_frames_as_by_reading_all(
    name: str, drawn: dict[str, Path], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, numbers = by_decoding_all(drawn[name])
    times = np.random.default_rng(0).uniform(0, seconds[-1], 7).tolist()
    times = [*times, float(seconds[17]), float(seconds[64]), 99.0, 0.0]
    by_seeking, by_reading = both_ways(drawn[name], times, monkeypatch)
    places = np.searchsorted(seconds, np.array(times) + 1e-3, side="right") - 1
    assert [number_of(p) for p in by_seeking.pixels] == [numbers[i] for i in places]
    assert by_seeking.seconds == pytest.approx(seconds[places].tolist(), abs=0.002)
    assert by_seeking.seconds == by_reading.seconds
    np.testing.assert_array_equal(by_seeking.pixels, by_reading.pixels)
    assert watched.seeks > 3
    assert not watched.failed


@pytest.mark.parametrize("name", READING)
def test_others_are_read_on(
    name: str, drawn: dict[str, Path], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, numbers = by_decoding_all(drawn[name])
    times = [1.0, 5.05, 11.0]
    by_seeking, by_reading = both_ways(drawn[name], times, monkeypatch)
    places = np.searchsorted(seconds, np.array(times) + 1e-3, side="right") - 1
    assert [number_of(p) for p in by_seeking.pixels] == [numbers[i] for i in places]
    np.testing.assert_array_equal(by_seeking.pixels, by_reading.pixels)
    assert not watched.seeks


def read_by_packets(path: Path, monkeypatch: pytest.MonkeyPatch) -> Timeline:
    with monkeypatch.context() as without:
        without.setattr(packets, "_from_index", lambda _: None)
        return read_timeline(path, Deadline(60))


@pytest.mark.parametrize("name", SEEKING)
def test_the_index_tells_what_reading_tells(
    name: str, drawn: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Source(drawn[name]) as source:
        assert (packets._from_index(source) is not None) == SEEKING[name][1]
    found = read_timeline(drawn[name], Deadline(60))
    assert found == read_by_packets(drawn[name], monkeypatch)
    assert len(found.seek_to) == len(found.keys) > 3


@pytest.mark.parametrize("name", ["mp4 with b-frames", "mkv"])
def test_an_index_that_leads_astray_costs_time_only(
    name: str, drawn: dict[str, Path], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = read_timeline(drawn[name], Deadline(60))
    wrong = replace(right, seek_to=(right.seek_to[-1],) * len(right.seek_to))
    monkeypatch.setattr("tempme.video.loading.read_timeline", lambda *_: wrong)
    by_seeking, by_reading = both_ways(drawn[name], [3.0, 6.0, 7.0], monkeypatch)
    assert by_seeking.seconds == by_reading.seconds
    np.testing.assert_array_equal(by_seeking.pixels, by_reading.pixels)
    assert watched.failed == watched.seeks == 1


def test_a_damaged_table_tells_nothing(drawn: dict[str, Path], tmp_path: Path) -> None:
    """Whatever the bytes of the index are: an answer or none, and as many as frames."""
    content = drawn["mp4 with b-frames"].read_bytes()
    start = content.rindex(b"moov")
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(300):
        bad = np.frombuffer(content, np.uint8).copy()
        places = rng.integers(start, len(bad), 4)
        bad[places] = rng.integers(0, 256, 4)
        path = tmp_path / "bad.mp4"
        path.write_bytes(bad.tobytes()[: rng.integers(start, len(bad) + 1)])
        answers.append(sample_table.offsets_of_showing(path, 1))
    assert any(answer is None for answer in answers)
    assert any(answer is not None and len(answer) == NUM for answer in answers)


FOLDER = Path(__file__).parents[3] / "shared" / "videos"


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real clips at {FOLDER}")
def test_real_clips_by_seeking_and_by_reading(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = sorted(p for p in FOLDER.iterdir() if p.suffix in {".mp4", ".avi", ".mkv", ".gif"})
    for path in clips:
        found = read_timeline(path, Deadline(60))
        assert found == read_by_packets(path, monkeypatch), path
        times = np.random.default_rng(0).uniform(0, found.duration_seconds, 5).tolist()
        by_seeking, by_reading = both_ways(path, times, monkeypatch)
        assert by_seeking.seconds == by_reading.seconds, path
        np.testing.assert_array_equal(by_seeking.pixels, by_reading.pixels, err_msg=str(path))
    assert watched.seeks > 50
    assert not watched.failed
