"""From a decoded frame to an upright square of pixels.

The reference is Pillow: the whole frame as RGB, its short side resized to S (bicubic, widened
when shrinking), the centre cut out. The scaler of FFmpeg does resize and colour conversion in one
go and is several times faster; `benchmarks/decode.py` measures how far the two are apart.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import av
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import Interpolation
from numpy.typing import NDArray
from PIL import Image

from tempme.video.colour import needs_mapping, to_sdr
from tempme.video.values import Fit, Pixels

Turn: TypeAlias = tuple[int, int, int, int]

# Beyond this ratio of the sides the resized frame would be mostly thrown away, and could be huge.
WIDEST = 8.0
FILTER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# Transparent parts are shown on white, as a page shows them.
PAPER = 255
UNTURNED: Turn = (1, 0, 0, 1)
# The matrices of a turn by no, one, two and three quarters, counted as FFmpeg does.
OF_ANGLE: tuple[Turn, ...] = (UNTURNED, (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


def square(
    frame: av.VideoFrame,
    size: int,
    *,
    pixel_aspect: float = 1.0,
    fit: Fit = "crop",
    turn: Turn | None = None,
) -> Pixels:
    """A frame as (S, S, 3), upright, with square pixels.

    `fit` says what becomes of one that is not square: `crop` keeps the centre (what CLIP and the
    paper do), `squash` all of it out of shape, `pad` all of it in shape between black bars. `turn`
    is the frame's `display_matrix` where it is known.
    """
    turn = turn or display_matrix(frame)
    if fit == "squash":
        return upright(scaled_rgb(frame, size, size), turn)
    if fit == "pad":
        width, height = inner_shape(frame.width * pixel_aspect, frame.height, size)
        return upright(_on_black(scaled_rgb(frame, width, height), size), turn)
    width, height = target_shape(frame.width * pixel_aspect, frame.height, size)
    if max(width, height) > WIDEST * size:
        return upright(_square_of_ribbon(frame, size, width, height), turn)
    scaled = _scaled(frame, width, height)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return upright(_rgb(frame, scaled[top : top + size, left : left + size]), turn)


def square_by_pillow(frame: av.VideoFrame, size: int, *, pixel_aspect: float = 1.0) -> Pixels:
    """The reference for `square`: the same by way of a full-size RGB image."""
    width, height = target_shape(frame.width * pixel_aspect, frame.height, size)
    image = Image.fromarray(scaled_rgb(frame, frame.width, frame.height))
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    cut = image.crop((left, top, left + size, top + size))
    return upright(np.asarray(cut), display_matrix(frame))


def square_of_image(image: Image.Image, size: int, *, fit: Fit = "crop") -> Pixels:
    """The same square from a Pillow image."""
    if fit == "pad":
        small = image.resize(inner_shape(image.width, image.height, size), Image.Resampling.BICUBIC)
        return _on_black(np.asarray(small, dtype=np.uint8), size)
    box: tuple[float, float, float, float] = (0, 0, image.width, image.height)
    if fit == "crop":
        width, height = target_shape(image.width, image.height, size)
        scale = min(image.width / width, image.height / height)
        box = _centre_box(image.width, image.height, size * scale, size * scale)
    rgb = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.ascontiguousarray(np.asarray(rgb, dtype=np.uint8))


def scaled_rgb(frame: av.VideoFrame, width: int, height: int) -> Pixels:
    """All of a frame as (height, width, 3) of SDR, not turned."""
    return np.ascontiguousarray(_rgb(frame, _scaled(frame, width, height)))


def target_shape(width: float, height: float, size: int) -> tuple[int, int]:
    """Width and height when the short side becomes `size`."""
    if width <= height:
        return size, max(size, int(size * height / width))
    return max(size, int(size * width / height)), size


def inner_shape(width: float, height: float, size: int) -> tuple[int, int]:
    """Width and height when the long side becomes `size`."""
    if width >= height:
        return size, max(1, round(size * height / width))
    return max(1, round(size * width / height)), size


def display_matrix(frame: av.VideoFrame) -> Turn:
    """How the file wants a frame turned: x' = a x + c y, y' = b x + d y, as (a, b, c, d)."""
    # PyAV's `side_data` and its frame hold each other until the garbage collector runs, which for
    # frames of 4K takes gigabytes: a tiny copy, with the same side data, is held in its place.
    tiny = frame.reformat(width=16, height=16, format="gray", interpolation=Interpolation.POINT)
    try:
        data = cast(Mapping[str, Buffer], tiny.side_data).get("DISPLAYMATRIX")
    except ValueError:
        # Side data of a kind that PyAV does not know: its angle can be read alone.
        return OF_ANGLE[round(frame.rotation / 90) % 4]
    if data is None:
        return UNTURNED
    a, b, _, c, d, *_ = struct.unpack("<9i", bytes(data)[:36])
    return a, b, c, d


def is_transposed(matrix: Turn) -> bool:
    """Whether the matrix swaps width and height; angles between are taken to the nearest side."""
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def upright(pixels: Pixels, matrix: Turn) -> Pixels:
    """Apply a display matrix: any of the eight turns and mirrors."""
    a, b, c, d = matrix
    if is_transposed(matrix):
        pixels = pixels.transpose(1, 0, 2)
        along_x, along_y = c, b
    else:
        along_x, along_y = a, d
    if along_x < 0:
        pixels = pixels[:, ::-1]
    if along_y < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _square_of_ribbon(frame: av.VideoFrame, size: int, width: int, height: int) -> Pixels:
    """The centre of what would be `width` x `height`: only that is ever made larger."""
    scaled = _scaled(frame, min(frame.width, width), min(frame.height, height))
    high, wide = scaled.shape[:2]
    left, top, right, bottom = _centre_box(wide, high, size * wide / width, size * high / height)
    near = scaled[int(top) : math.ceil(bottom), int(left) : math.ceil(right)]
    box = left - int(left), top - int(top), right - int(left), bottom - int(top)
    image = Image.fromarray(_rgb(frame, near))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _on_black(pixels: Pixels, size: int) -> Pixels:
    height, width = pixels.shape[:2]
    left, top = (size - width) // 2, (size - height) // 2
    padded = np.zeros((size, size, 3), dtype=np.uint8)
    padded[top : top + height, left : left + width] = pixels
    return padded


def _centre_box(
    width: float, height: float, box_width: float, box_height: float
) -> tuple[float, float, float, float]:
    box_width, box_height = min(width, box_width), min(height, box_height)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def _scaled(frame: av.VideoFrame, width: int, height: int) -> NDArray[Any]:
    """(H, W, 3 or 4) of 8 bits, or of 16 where the frame's light has to be mapped."""
    wanted = "rgb48le" if needs_mapping(frame) else "rgba" if _has_alpha(frame) else "rgb24"
    scaled = frame.reformat(
        width=width, height=height, format=wanted, interpolation=FILTER, threads=1
    )
    return np.asarray(scaled.to_ndarray())


def _rgb(frame: av.VideoFrame, scaled: NDArray[Any]) -> Pixels:
    """What is seen of pixels that `_scaled` made of this frame."""
    if needs_mapping(frame):
        return to_sdr(scaled, frame.color_trc, frame.color_primaries)
    return _on_paper(scaled) if _has_alpha(frame) else scaled


def _has_alpha(frame: av.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _on_paper(rgba: Pixels) -> Pixels:
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + PAPER * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)
