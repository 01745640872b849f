"""Windows of a video: each frame held once, and pieces that together are the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import SIDE, draw, number_of
from tempme.video import Reading, VideoWindows, iter_windows, load_windows


def test_windows_hold_each_frame_once(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=250, options={"bf": "2", "g": "30"})
    whole = load_windows(path, Reading(size=SIDE, sampling="exact"))
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
    whole = load_windows(path, Reading(size=SIDE, sampling=sampling))
    assert isinstance(whole, VideoWindows)
    pieces = list(
        iter_windows(path, Reading(size=SIDE, sampling=sampling, piece_windows=piece_windows))
    )
    assert all(isinstance(piece, VideoWindows) for piece in pieces)
    assert [p.piece for p in pieces] == list(range(len(pieces)))
    assert [p.is_last for p in pieces] == [False] * (len(pieces) - 1) + [True]
    np.testing.assert_array_equal(np.concatenate([p.spans for p in pieces]), whole.spans)
    for attribute in ("pixels", "seconds"):
        parts = [getattr(p, attribute)[p.windows] for p in pieces]
        expected = getattr(whole, attribute)[whole.windows]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_max_windows_keeps_first_and_last(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=250)
    some = load_windows(path, Reading(size=SIDE), max_windows=2)
    assert isinstance(some, VideoWindows)
    assert some.spans.tolist() == [[0, 12], [13, 25]]
