"""What passes by and no caption speaks of: drifters among the things, posts in front of all."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from tempme.scenes.filming.canvases import Pixels
from tempme.scenes.filming.shots import Drifter, Post, between

FINER = 4
SQUASHED = {"leaf": 0.45, "flake": 1.0, "bar": 0.3}
ROOM = 0.06
"""How far outside of the picture a drifter turns up again, in shares of it."""


def drift(frame: Pixels, drifter: Drifter, share: float) -> None:
    """Blend a drifter into the frame, in place."""
    size = frame.shape[0]
    mask = _mask(drifter.kind, max(2, round(drifter.radius * size)), drifter.degrees)
    side = mask.shape[0]
    x, y = (
        round(((at + speed * share) % 1 * (1 + 2 * ROOM) - ROOM) * size) - side // 2
        for at, speed in zip(drifter.start, drifter.speed, strict=True)
    )
    x0, y0, x1, y1 = max(0, x), max(0, y), min(size, x + side), min(size, y + side)
    if x0 >= x1 or y0 >= y1:
        return
    cover = mask[y0 - y : y1 - y, x0 - x : x1 - x]
    under = frame[y0:y1, x0:x1]
    colour = np.array(drifter.colour, np.uint16)
    under[:] = (under * (255 - cover) + cover * colour + 127) // 255


def pass_by(frame: Pixels, post: Post, canvas: Pixels, share: float) -> None:
    """Hide a band of the frame behind something dark and near, in place."""
    size = frame.shape[0]
    wide = max(2, round(post.width * size))
    x = round(between(post.start, post.end, share) * size)
    x0, x1 = max(0, x), min(size, x + wide)
    if x0 < x1:
        frame[:, x0:x1] = canvas[:size, x0 - x : x1 - x, :3] // 2


@lru_cache(maxsize=512)
def _mask(kind: str, radius: int, degrees: int) -> npt.NDArray[np.uint16]:
    """How much of every pixel a drifter covers, 0 to 255, (side, side, 1)."""
    side = 2 * radius + 2
    image = Image.new("L", (side * FINER, side * FINER))
    long, wide = radius * FINER, max(1, round(radius * FINER * SQUASHED[kind]))
    middle, turn = side * FINER / 2, math.radians(degrees)
    corners = 4 if kind == "bar" else 24
    points = []
    for number in range(corners):
        angle = 2 * math.pi * (number + (0.5 if kind == "bar" else 0)) / corners
        along, across = long * math.cos(angle), wide * math.sin(angle)
        points.append(
            (
                round(middle + along * math.cos(turn) - across * math.sin(turn)),
                round(middle + along * math.sin(turn) + across * math.cos(turn)),
            )
        )
    ImageDraw.Draw(image).polygon(points, fill=255)
    cells = np.array(image).reshape(side, FINER, side, FINER).astype(np.uint32)
    return np.asarray(cells.sum(axis=(1, 3)) // FINER**2, dtype=np.uint16)[..., None]
