"""An upright square of pixels from every picture: turned, stretched, tiny, transparent."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawn_videos import SIDE, barcode, draw, frames_of, numbers


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
