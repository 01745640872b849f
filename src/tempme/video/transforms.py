"""From a decoded frame to an upright square of pixels.

The reference is Pillow: the whole frame as RGB, its short side resized to S (bicubic, widened
when shrinking), the centre cut out. The scaler of FFmpeg does resize and colour conversion in one
go and is several times faster; `benchmarks/decode.py` measures how far the two are apart.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import Interpolation
from PIL import Image

from tempme.video.values import Pixels

# Beyond this ratio of the sides the resized frame would be mostly thrown away, and could be huge.
WIDEST = 8.0
FILTER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# Transparent parts are shown on white, as a page shows them.
PAPER = 255


def square(frame: av.VideoFrame, size: int, *, pixel_aspect: float = 1.0) -> Pixels:
    """The centre of a frame as (S, S, 3), upright, with square pixels."""
    width, height = target_shape(frame.width * pixel_aspect, frame.height, size)
    if max(width, height) > WIDEST * size:
        return upright(_square_by_box(frame, size, pixel_aspect), display_matrix(frame))
    scaled = _rgb(frame, width, height)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return upright(scaled[top : top + size, left : left + size], display_matrix(frame))


def square_by_pillow(frame: av.VideoFrame, size: int, *, pixel_aspect: float = 1.0) -> Pixels:
    """The reference for `square`: the same by way of a full-size RGB image."""
    width, height = target_shape(frame.width * pixel_aspect, frame.height, size)
    image = Image.fromarray(_rgb(frame, frame.width, frame.height))
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    cut = image.crop((left, top, left + size, top + size))
    return upright(np.asarray(cut), display_matrix(frame))


def square_of_image(image: Image.Image, size: int) -> Pixels:
    """The same square from a Pillow image."""
    width, height = target_shape(image.width, image.height, size)
    scale = min(image.width / width, image.height / height)
    box = _centre_box(image.width, image.height, size * scale, size * scale)
    rgb = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.ascontiguousarray(np.asarray(rgb, dtype=np.uint8))


def target_shape(width: float, height: float, size: int) -> tuple[int, int]:
    """Width and height when the short side becomes `size`."""
    if width <= height:
        return size, max(size, int(size * height / width))
    return max(size, int(size * width / height)), size


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """How the file wants a frame turned: x' = a x + c y, y' = b x + d y, as (a, b, c, d)."""
    data = cast(Mapping[str, Buffer], frame.side_data).get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("<9i", bytes(data)[:36])
    return a, b, c, d


def is_transposed(matrix: tuple[int, int, int, int]) -> bool:
    """Whether the matrix swaps width and height; angles between are taken to the nearest side."""
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def upright(pixels: Pixels, matrix: tuple[int, int, int, int]) -> Pixels:
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


def _square_by_box(frame: av.VideoFrame, size: int, pixel_aspect: float) -> Pixels:
    """For a ribbon: only the centre is ever resized."""
    image = Image.fromarray(_rgb(frame, frame.width, frame.height))
    side = min(frame.width * pixel_aspect, frame.height)
    box = _centre_box(frame.width, frame.height, side / pixel_aspect, side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))


def _centre_box(
    width: float, height: float, box_width: float, box_height: float
) -> tuple[float, float, float, float]:
    box_width, box_height = min(width, box_width), min(height, box_height)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def _rgb(frame: av.VideoFrame, width: int, height: int) -> Pixels:
    has_alpha = any(component.is_alpha for component in frame.format.components)
    wanted = "rgba" if has_alpha else "rgb24"
    scaled = frame.reformat(
        width=width, height=height, format=wanted, interpolation=FILTER, threads=1
    )
    array = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
    return _on_paper(array) if has_alpha else array


def _on_paper(rgba: Pixels) -> Pixels:
    alpha = rgba[..., 3:].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + PAPER * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)
