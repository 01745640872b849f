"""The time for a whole file: what has become complete by then is kept, or a reason is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drawn_videos import draw
from tempme.video import Failure, Reading, VideoWindows, decode_many, iter_windows, load
from tempme.video.containers import source

WINDOWS: dict[str, Any] = {"frames": 4, "size": 64, "sampling": "exact", "piece_windows": 3}
FOREVER = 1e9


class Clock:
    """A second passes whenever somebody looks: the same on every machine."""

    def __init__(self) -> None:
        self.seconds = 0

    def monotonic(self) -> int:
        self.seconds += 1
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(source, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("limits") / "a.mp4", frames=200, options={"g": "20"})


def windows_of(pieces: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of every window (W, F, S, S, 3) and the spans (W, 2)."""
    pixels = np.concatenate([piece.pixels[piece.windows] for piece in pieces])
    return pixels, np.concatenate([piece.spans for piece in pieces])


def test_whenever_the_time_is_up_the_windows_so_far_are_kept(video: Path, clock: Clock) -> None:
    whole = list(iter_windows(video, Reading(**WINDOWS, timeout_seconds=FOREVER)))
    pixels, spans = windows_of(whole)
    assert len(spans) == 9
    kept = set()
    for total in np.linspace(0.5, clock.seconds + 10, 30):
        limits = {"timeout_seconds": FOREVER, "total_seconds": float(total)}
        pieces = list(iter_windows(video, Reading(**WINDOWS, **limits)))
        if isinstance(pieces[0], Failure):
            assert pieces == [Failure(video, f"timeout: not done after {total:g} s")]
            kept.add(0)
            continue
        assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        some, their_spans = windows_of(pieces)
        np.testing.assert_array_equal(some, pixels[: len(some)])
        np.testing.assert_array_equal(their_spans, spans[: len(some)])
        end = f"used the first {their_spans[-1, 1]:.1f} s"
        is_whole = len(some) == len(pixels)
        assert pieces[-1].note == ("" if is_whole else f"timeout after {total:g} s: {end}")
        kept.add(len(some))
    assert {0, len(pixels)} < kept, "no limit fell between nothing and all"


def test_time_away_does_not_count(video: Path, clock: Clock) -> None:
    whole = list(iter_windows(video, Reading(**WINDOWS, timeout_seconds=FOREVER)))
    needed = clock.seconds
    pieces = []
    for piece in iter_windows(
        video, Reading(**WINDOWS, timeout_seconds=needed, total_seconds=needed)
    ):
        clock.seconds += 10 * needed  # whoever takes the piece is slow
        pieces.append(piece)
    assert [piece.note for piece in pieces] == [""] * len(whole)


@pytest.mark.usefixtures("clock")
def test_a_single_window_needs_all_its_frames(video: Path) -> None:
    found = load(video, Reading(timeout_seconds=FOREVER, total_seconds=20))
    assert found == Failure(video, "timeout: not done after 20 s")


@pytest.mark.slow
def test_a_large_file_by_the_true_clock(tmp_path: Path) -> None:
    """200 frames of 720p take several times the limit, whatever the machine."""
    path = draw(
        tmp_path / "large.mp4",
        frames=200,
        picture=lambda number: np.full((720, 1280, 3), number, dtype=np.uint8),
        options={"preset": "ultrafast", "g": "10"},
    )
    reading = Reading(**WINDOWS, total_seconds=0.1, every_seconds=0.1)
    answers = [answer for _, answer in decode_many([path], reading, workers=1)]
    *before, last = answers
    assert all(isinstance(answer, VideoWindows) for answer in before)
    if isinstance(last, Failure):
        assert last.reason == "timeout: not done after 0.1 s"
    else:
        assert last.is_last
        assert last.note.startswith("timeout after 0.1 s: used the first ")
        assert sum(len(piece.spans) for piece in answers) < 99
