"""What lively scenes happen in front of: textured places, larger than a picture of them.

Of each of the eight places of the world there are sixteen canvases: clouds of noise, gradients,
leaves, a crowd, bricks of many tones.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Pixels = npt.NDArray[np.uint8]
Tones = npt.NDArray[np.int32]
Ends = tuple[tuple[int, int, int], tuple[int, int, int]]

TIMES = 2
"""Sides of a canvas, in pictures."""


@lru_cache(maxsize=160)
def canvas(place: str, number: int, size: int) -> Pixels:
    """A canvas for pictures of size x size, (2 size, 2 size, 4); read-only.

    The fourth value of a pixel says nothing: four bytes are fetched at once, three are not.
    """
    lot = random.Random(f"canvas/{place}/{number}")
    pixels = np.zeros((TIMES * size, TIMES * size, 4), np.uint8)
    pixels[..., :3] = PAINTERS[place](lot, TIMES * size)
    pixels.setflags(write=False)
    return pixels


def clouds(lot: random.Random, side: int, *cells: int) -> Tones:
    """Noise of several sizes, each half as strong as the one before, (side, side), 0 to 255."""
    total = np.zeros((side, side), np.int32)
    for octave, count in enumerate(cells):
        total += _waves(lot, side, count) >> octave
    return total * 255 // sum(255 >> octave for octave in range(len(cells)))


def _waves(lot: random.Random, side: int, cells: int) -> Tones:
    """Random tones at the corners of cells x cells, even in between."""
    corners = np.frombuffer(lot.randbytes((cells + 1) ** 2), np.uint8).astype(np.int32)
    corners = corners.reshape(cells + 1, cells + 1)
    place = np.arange(side, dtype=np.int32) * cells * 256 // side
    cell, part = place >> 8, place & 255
    rows = corners[cell] * (256 - part)[:, None] + corners[cell + 1] * part[:, None]
    both: Tones = rows[:, cell] * (256 - part) + rows[:, cell + 1] * part
    return both >> 16


def _toned(tones: Tones, ends: Ends) -> Pixels:
    """Tones 0 to 255 as colours between two ends."""
    low, high = (np.array(end, np.int32) for end in ends)
    mixed = low + ((high - low) * np.clip(tones, 0, 255)[..., None] >> 8)
    return mixed.astype(np.uint8)


def _painted(pixels: Pixels, paint: Callable[[ImageDraw.ImageDraw], None]) -> Pixels:
    image = Image.fromarray(pixels)
    paint(ImageDraw.Draw(image))
    return np.array(image)


def _somewhere(lot: random.Random, side: int) -> tuple[int, int]:
    return lot.randrange(1000) * side // 1000, lot.randrange(1000) * side // 1000


def _crowd(lot: random.Random, side: int) -> Pixels:
    """Gray: heads and shoulders in rows, the nearer ones larger."""

    def paint(pen: ImageDraw.ImageDraw) -> None:
        for row in range(9):
            head = side * (14 + 3 * row) // 1000
            for _ in range(26 - row):
                x = lot.randrange(1000) * side // 1000
                y = side * (row * 110 + lot.randrange(60)) // 1000
                tone = lot.randrange(96, 188)
                coat = (tone, tone + lot.randrange(-10, 10), tone + lot.randrange(-8, 12))
                pen.ellipse((x - 2 * head, y + head, x + 2 * head, y + 6 * head), fill=coat)
                face = tuple(min(255, part + 30) for part in coat)
                pen.ellipse((x - head, y - head, x + head, y + head), fill=face)

    ground = _toned(clouds(lot, side, 4, 16), ((120, 120, 124), (176, 176, 172)))
    return _painted(ground, paint)


def _checks(lot: random.Random, side: int) -> Pixels:
    """Checkered: cells of a lot, whose edges and light vary."""
    across = lot.choice((10, 12, 16))
    place = (np.arange(side, dtype=np.int32) * across + lot.randrange(side)) // side
    odd = (place[:, None] + place) % 2
    return _toned(odd * 130 + clouds(lot, side, 3, 12, 48) // 2, ((140, 140, 144), (240, 240, 236)))


def _leaves(lot: random.Random, side: int) -> Pixels:
    """Grass: leaves and blades of many greens, one above the other."""

    def paint(pen: ImageDraw.ImageDraw) -> None:
        for _ in range(420):
            x, y = _somewhere(lot, side)
            long, wide = side * lot.randrange(12, 44) // 1000, side * lot.randrange(6, 16) // 1000
            green = lot.randrange(110, 206)
            tone = (green * 2 // 3 + lot.randrange(-14, 14), green, green * 2 // 5)
            lean = lot.randrange(-long, long + 1)
            pen.polygon(
                [(x, y), (x + lean - wide, y - long), (x + 2 * lean, y - 2 * long),
                 (x + lean + wide, y - long)],
                fill=tone,
            )  # fmt: skip

    ground = _toned(clouds(lot, side, 5, 20), ((70, 116, 44), (136, 184, 92)))
    return _painted(ground, paint)


def _dunes(lot: random.Random, side: int) -> Pixels:
    """Sand: ripples bent by noise, and grains."""
    bend = clouds(lot, side, 3, 6)
    down = np.arange(side, dtype=np.int32)[:, None] * 255 * lot.choice((7, 10, 13)) // side
    ripple = np.abs((down + bend * 2) % 256 - 128) * 2
    grains = clouds(lot, side, side // 3)
    return _toned(ripple // 3 + grains // 2 + bend // 4, ((176, 146, 92), (246, 226, 178)))


def _sky(lot: random.Random, side: int) -> Pixels:
    """Sky: clouds of all sizes on blue."""
    tones = (clouds(lot, side, 3, 7, 15, 40) - 88) * 3
    return _toned(tones, ((120, 172, 226), (246, 249, 252)))


def _lights(lot: random.Random, side: int) -> Pixels:
    """Night: stars and the lights of a town, sharp and out of focus."""

    def paint(pen: ImageDraw.ImageDraw) -> None:
        for _ in range(150):
            x, y = _somewhere(lot, side)
            spark = side * lot.choice((2, 3, 3, 5, 12)) // 1000 + 1
            tone = tuple(lot.randrange(90, 230) for _ in range(3))
            pen.ellipse((x - spark, y - spark, x + spark, y + spark), fill=tone)

    return _painted(_toned(clouds(lot, side, 3, 9, 30), ((6, 8, 26), (44, 46, 92))), paint)


def _dusk(lot: random.Random, side: int) -> Pixels:
    """Sunset: a gradient with streaks of cloud above dark trees."""
    down = np.arange(side, dtype=np.int32)[:, None] * 255 // side
    streaks = clouds(lot, side, 3, 24)
    sky = _toned(down + (streaks - 128) // 2, ((116, 80, 146), (255, 186, 120)))
    trees = clouds(lot, side, 6, 30, 80) // 3 + down > lot.randrange(268, 300)
    sky[trees] = (sky[trees].astype(np.int32) * 2 // 5).astype(np.uint8)
    return sky


def _bricks(lot: random.Random, side: int) -> Pixels:
    """Bricks: each of its own tone, worn."""
    rows = lot.choice((12, 16))
    gap = max(1, side // 180)

    def paint(pen: ImageDraw.ImageDraw) -> None:
        for row in range(rows):
            top, bottom = row * side // rows, (row + 1) * side // rows
            for column in range(-1, rows // 2):
                left = (2 * column + row % 2) * side // rows
                tone = lot.randrange(-26, 27)
                fill = (168 + tone, 112 + tone, 92 + tone // 2)
                pen.rectangle((left, top, left + 2 * side // rows - gap, bottom - gap), fill=fill)

    wall = _painted(_toned(clouds(lot, side, 8), ((190, 178, 166), (222, 210, 198))), paint)
    worn = clouds(lot, side, 10, 60)[..., None] // 5 - 24
    return np.asarray(np.clip(wall + worn, 0, 255), dtype=np.uint8)


PAINTERS: dict[str, Callable[[random.Random, int], Pixels]] = {
    "gray": _crowd,
    "checkered": _checks,
    "grass": _leaves,
    "sand": _dunes,
    "sky": _sky,
    "night": _lights,
    "sunset": _dusk,
    "bricks": _bricks,
}
