"""What scenes happen in front of: eight backgrounds, paler than any thing."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Pen = ImageDraw.ImageDraw
FINER = 2


@lru_cache(maxsize=64)
def backdrop(name: str, size: int) -> npt.NDArray[np.uint8]:
    """The background alone, (size, size, 3); read-only."""
    side = size * FINER
    image = Image.new("RGB", (side, side))
    PAINTERS[name](ImageDraw.Draw(image), side)
    pixels = np.array(image.reduce(FINER))
    pixels.setflags(write=False)
    return pixels


def _gray(pen: Pen, side: int) -> None:
    pen.rectangle((0, 0, side, side), fill=(150, 150, 150))


def _checkered(pen: Pen, side: int) -> None:
    for row in range(8):
        for column in range(8):
            tone = (226, 226, 226) if (row + column) % 2 else (168, 168, 168)
            x, y = column * side // 8, row * side // 8
            pen.rectangle((x, y, x + side // 8, y + side // 8), fill=tone)


def _grass(pen: Pen, side: int) -> None:
    pen.rectangle((0, 0, side, side), fill=(150, 196, 106))
    lot = random.Random(1)
    width = max(1, side // 110)
    for _ in range(150):
        x, y = lot.randrange(1000) * side // 1000, lot.randrange(1000) * side // 1000
        tall = side * lot.randrange(30, 70) // 1000
        lean = side * lot.randrange(-15, 16) // 1000
        pen.line((x, y, x + lean, y - tall), fill=(104, 160, 72), width=width)


def _sand(pen: Pen, side: int) -> None:
    pen.rectangle((0, 0, side, side), fill=(232, 212, 160))
    lot = random.Random(2)
    for _ in range(220):
        x, y = lot.randrange(1000) * side // 1000, lot.randrange(1000) * side // 1000
        grain = max(1, side // 110)
        pen.ellipse((x, y, x + grain, y + grain), fill=(190, 160, 104))


def _sky(pen: Pen, side: int) -> None:
    pen.rectangle((0, 0, side, side), fill=(150, 200, 240))
    for x, y, wide in ((14, 16, 30), (58, 10, 34), (36, 48, 30), (72, 66, 30), (6, 78, 34)):
        for shift, lift, share in ((0, 0, 50), (28, -18, 62), (60, 0, 44)):
            left = (x + wide * shift // 100) * side // 100
            top = (y + wide * lift // 100) * side // 100
            across = wide * share * side // 10000
            pen.ellipse((left, top, left + across, top + across * 2 // 3), fill=(240, 246, 250))


def _night(pen: Pen, side: int) -> None:
    pen.rectangle((0, 0, side, side), fill=(14, 16, 44))
    lot = random.Random(3)
    for _ in range(60):
        x, y = lot.randrange(1000) * side // 1000, lot.randrange(1000) * side // 1000
        spark = max(1, side // 100)
        pen.ellipse((x, y, x + spark, y + spark), fill=(236, 236, 210))


def _sunset(pen: Pen, side: int) -> None:
    top, bottom = (128, 92, 150), (255, 186, 120)
    for y in range(side):
        tone = tuple(a + (b - a) * y // side for a, b in zip(top, bottom, strict=True))
        pen.line((0, y, side, y), fill=tone)


def _bricks(pen: Pen, side: int) -> None:
    pen.rectangle((0, 0, side, side), fill=(214, 200, 188))
    gap = max(1, side // 90)
    for row in range(8):
        top, bottom = row * side // 8, (row + 1) * side // 8
        for column in range(-1, 4):
            left = (2 * column + row % 2) * side // 8
            right = left + side // 4
            pen.rectangle((left, top, right - gap, bottom - gap), fill=(176, 120, 100))


PAINTERS: dict[str, Callable[[Pen, int], None]] = {
    "gray": _gray,
    "checkered": _checkered,
    "grass": _grass,
    "sand": _sand,
    "sky": _sky,
    "night": _night,
    "sunset": _sunset,
    "bricks": _bricks,
}
