"""What becomes of a frame that is not square: cut, squashed or between bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from drawn_videos import draw
from fault_files import QUERY_B, encode, model, score
from tempme.errors import BadSetting
from tempme.video import Frames, Reading, decode_many, load, read_image
from tempme.video.transforms import inner_shape, square, square_of_image

FAULTS = Path(__file__).parents[1] / "faults"
SIZE = 60


def striped(width: int, height: int) -> np.ndarray:
    """Red, green and blue thirds along the longer side."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for part in range(3):
        if width >= height:
            picture[:, part * width // 3 : (part + 1) * width // 3, part] = 255
        else:
            picture[part * height // 3 : (part + 1) * height // 3, :, part] = 255
    return picture


def colours(pixels: np.ndarray, along: int) -> str:
    """The colours met along the middle line, each once, `k` for black."""
    middle = pixels.shape[0] // 2
    line = pixels[middle] if along == 1 else pixels[:, middle]
    names = ["k" if pixel.max() < 60 else "rgb"[int(pixel.argmax())] for pixel in line[3:-3]]
    return "".join(name for i, name in enumerate(names) if i == 0 or names[i - 1] != name)


@pytest.mark.parametrize(
    ("fit", "along", "across"),
    [("crop", "g", "g"), ("squash", "rgb", "g"), ("pad", "rgb", "kgk")],
)
@pytest.mark.parametrize(("width", "height"), [(180, 60), (60, 180), (181, 61)])
def test_frames_and_pictures_alike(
    fit: Any, along: str, across: str, width: int, height: int
) -> None:
    picture = striped(width, height)
    axis = 1 if width > height else 0
    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
    for pixels in (
        square(frame, SIZE, fit=fit),
        square_of_image(Image.fromarray(picture), SIZE, fit=fit),
    ):
        assert pixels.shape == (SIZE, SIZE, 3)
        assert colours(pixels, axis) == along
        assert colours(pixels, 1 - axis) == across


def test_inner_shape_keeps_the_shape_and_is_never_empty() -> None:
    assert inner_shape(1280, 540, 224) == (224, 94)
    assert inner_shape(540, 1280, 224) == (94, 224)
    assert inner_shape(100_000, 3, 224) == (224, 1)


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize(("degrees", "aspect"), [(90, 1.0), (0, 2.0)])
def test_turned_and_stretched_frames_are_fitted_upright(
    tmp_path: Path, fit: Any, degrees: int, aspect: float
) -> None:
    path = draw(
        tmp_path / "a.mp4",
        frames=3,
        picture=lambda _: striped(180, 60),
        pixel_format="yuv444p",
        prepare=lambda stream: stream.set_display_rotation(degrees),
    )
    if degrees:
        found = load(path, Reading(size=SIZE, fit=fit, frames=1))
        assert isinstance(found, Frames)
        assert set(colours(found.pixels[0], 0)) == set("rgb")
        assert colours(found.pixels[0], 1) == ("kgk" if fit == "pad" else "g")
    else:
        frame = av.VideoFrame.from_ndarray(striped(180, 60), "rgb24")
        pixels = square(frame, SIZE, fit=fit, pixel_aspect=aspect)
        bars = (pixels.max(axis=(1, 2)) < 60).sum()
        assert bars == pytest.approx(50 if fit == "pad" else 0, abs=3)


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_workers_fit_as_is_asked(tmp_path: Path, fit: Any) -> None:
    path = draw(tmp_path / "a.mp4", frames=3, picture=lambda _: striped(180, 60))
    reading = Reading(size=SIZE, fit=fit, frames=1)
    ((_, found),) = decode_many([path], reading, workers=1)
    assert colours(found.pixels[0], 1) == ("g" if fit == "crop" else "rgb")


def test_a_fit_that_is_none_is_refused() -> None:
    with pytest.raises(BadSetting, match="fit is 'stretch'; it is one of crop, squash, pad"):
        Reading(fit="stretch")  # type: ignore[arg-type]


def test_pictures_are_fitted_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(striped(180, 60)).save(path)
    for fit, along in (("crop", "g"), ("squash", "rgb"), ("pad", "rgb")):
        pixels = read_image(path, SIZE, fit=fit)  # type: ignore[arg-type]
        assert isinstance(pixels, np.ndarray)
        assert colours(pixels, 1) == along


def test_a_subject_at_the_edge_is_found_nearly_as_well() -> None:
    """QB is in both; the centre square misses half of it where it is at the left."""
    found = {}
    for name in ("wide_left.mp4", "wide_centre.mp4"):
        for fit in ("crop", "squash"):
            reading = Reading(frames=model().num_frames, size=model().image_size, fit=fit)  # type: ignore[arg-type]
            frames = load(FAULTS / name, reading)
            assert isinstance(frames, Frames)
            found[name, fit] = score(QUERY_B, encode(frames.pixels))
    assert found["wide_left.mp4", "crop"] < found["wide_centre.mp4", "crop"] - 0.2
    squashed = [found[name, "squash"] for name in ("wide_left.mp4", "wide_centre.mp4")]
    assert min(squashed) > 0.5
    assert abs(squashed[0] - squashed[1]) < 0.1
