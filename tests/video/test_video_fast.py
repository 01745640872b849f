"""Sampling "fast": the frames of "auto", decoded without the filter that smooths blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import SIDE, draw, frames_of
from tempme.index.header import Cutting
from tempme.video import Reading, load_windows
from tempme.video.containers.source import Source

# What the filter smooths: coarse blocks of a picture that moves.
COARSE = {"crf": "40", "g": "60", "sc_threshold": "0"}
X265 = "log-level=none:keyint=60:min-keyint=60:pools=1:frame-threads=1:crf=40"
FILTERED: dict[str, tuple[str, dict[str, str]]] = {
    "libx264": ("a.mp4", COARSE),
    "libx265": ("a.mp4", {"x265-params": X265}),
}
MOST_LEVELS = 6.0


def moving(number: int) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = 127 + 120 * np.sin((rows + 2 * number) / 6) * np.cos((columns - number) / 9)
    return np.repeat(waves.astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("codec", FILTERED)
def test_the_frames_of_auto_are_nearly_those_of_fast(codec: str, tmp_path: Path) -> None:
    file, options = FILTERED[codec]
    path = draw(tmp_path / file, codec=codec, frames=60, picture=moving, options=options)
    auto, fast = (frames_of(path, frames=12, sampling=name) for name in ("auto", "fast"))
    assert fast.seconds == auto.seconds
    apart = np.abs(fast.pixels.astype(int) - auto.pixels).mean()
    assert 0 < apart < MOST_LEVELS


@pytest.mark.parametrize(
    ("file", "codec", "pixel_format"),
    [("a.avi", "mjpeg", "yuvj420p"), ("a.webm", "libvpx-vp9", "yuv420p")],
)
def test_other_codecs_take_no_notice(
    file: str, codec: str, pixel_format: str, tmp_path: Path
) -> None:
    path = draw(tmp_path / file, codec=codec, pixel_format=pixel_format, picture=moving)
    auto, fast = (frames_of(path, frames=12, sampling=name) for name in ("auto", "fast"))
    np.testing.assert_array_equal(fast.pixels, auto.pixels)


@pytest.mark.parametrize(("sampling", "wanted"), [("fast", "all"), ("auto", None)])
def test_only_fast_leaves_the_filter_out(sampling: Any, wanted: str | None, tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=5)
    with Source(path, Reading(sampling=sampling)) as source:
        assert source.stream.codec_context.options.get("skip_loop_filter") == wanted


def test_keyframes_stand_in_where_they_do_for_auto(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.mp4", frames=60, options={"g": "5", "sc_threshold": "0"})
    auto, fast = (load_windows(path, Reading(size=SIDE, sampling=s)) for s in ("auto", "fast"))
    assert fast.seconds.tolist() == auto.seconds.tolist()  # type: ignore[union-attr]


def test_an_index_remembers_it() -> None:
    assert Cutting(sampling="fast").reading().sampling == "fast"
