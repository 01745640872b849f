"""Things to pixels: stamps of shapes, anti-aliased, blended onto a picture in integers.

Everything that is rounded is rounded before it is blended, so that the same thing gives the
same pixels on every machine.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from tempme.scenes.world import COLOURS, Colour, Pose, Thing

Pixels = npt.NDArray[np.uint8]
Points = list[tuple[float, float]]

FINER = 4
"""Edges are drawn this many times finer and then averaged."""
SMALL_RADIUS = 48
"""Of stamps up to this radius in pixels, those of training, thousands are kept; of larger few."""
DARK: Colour = (24, 24, 24)
LIGHT: Colour = (255, 255, 255)
LIGHT_COLOURS = ("orange", "yellow", "cyan", "pink", "white")


def place(frame: Pixels, thing: Thing, pose: Pose, outline: Colour) -> None:
    """Blend one thing into the frame, in place."""
    size = frame.shape[0]
    radius = max(2, round(pose.radius * size))
    degrees = 5 * round(pose.degrees / 5) % 360
    border = max(1, round(size / 80))
    keep = coloured if radius <= SMALL_RADIUS else large_coloured
    through, paint = keep(thing._replace(size=""), radius, degrees, border, outline)
    half = paint.shape[0] // 2
    left, top = round(pose.x * size) - half, round(pose.y * size) - half
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(size, left + 2 * half), min(size, top + 2 * half)
    if x0 >= x1 or y0 >= y1:
        return
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    under = frame[y0:y1, x0:x1]
    under[:] = (under * through[part] + paint[part]) // 255


@lru_cache(maxsize=512)
def coloured(
    thing: Thing, radius: int, degrees: int, border: int, outline: Colour
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Shares of 255 of what is behind, and 255 times the colour in front: both (2h, 2h, 3)."""
    make = stamp if radius <= SMALL_RADIUS else large_stamp
    parts = make(thing.shape, thing.texture, radius, degrees, border).astype(np.uint16)
    second = DARK if thing.colour in LIGHT_COLOURS else LIGHT
    palette = np.array([outline, COLOURS[thing.colour], second], dtype=np.uint16)
    paint = np.full((*parts.shape[:2], 3), 127, np.uint16)  # so that 255ths are rounded
    for number in range(3):
        paint += parts[..., number, None] * palette[number]
    return np.repeat(parts[..., 3:], 3, axis=2), paint


large_coloured = lru_cache(maxsize=16)(coloured.__wrapped__)


@lru_cache(maxsize=4096)
def stamp(shape: str, texture: str, radius: int, degrees: int, border: int) -> Pixels:
    """Shares of outline, fill, second colour and background (sum 255), (2h, 2h, 4)."""
    reach = max(math.hypot(x, y) for x, y in OUTLINES[shape][0])
    half = math.ceil(radius * reach) + border + 1
    fine = 2 * half * FINER
    whole = [_turned(points, radius, degrees, half) for points in OUTLINES[shape]]
    inside = Image.new("L", (fine, fine))
    body = Image.new("L", (fine, fine))
    for number, points in enumerate(whole):
        ImageDraw.Draw(inside).polygon(points, fill=0 if number else 255)
    body.paste(inside)
    for points in whole:
        line = [*points, *points[:2]]
        ImageDraw.Draw(body).line(line, fill=255, width=border * FINER, joint="curve")
        ImageDraw.Draw(inside).line(line, fill=0, width=border * FINER, joint="curve")
    pattern = np.array(_pattern(texture, radius, fine)) & np.array(inside)
    outline = np.array(body) & ~np.array(inside)
    whole_share, outline_share, second_share = (
        _reduced(layer) for layer in (np.array(body), outline, pattern)
    )
    fill_share = whole_share - outline_share - second_share
    shares = (outline_share, fill_share, second_share, 255 - whole_share)
    return np.stack(shares, axis=-1).astype(np.uint8)


large_stamp = lru_cache(maxsize=64)(stamp.__wrapped__)


def _reduced(layer: Pixels) -> npt.NDArray[Any]:
    """Averages of FINER x FINER cells, rounded down, so that shares never exceed the whole."""
    side = layer.shape[0] // FINER
    cells = layer.reshape(side, FINER, side, FINER).astype(np.int64)
    return np.asarray(cells.sum(axis=(1, 3)) // FINER**2)


def _pattern(texture: str, radius: int, fine: int) -> Image.Image:
    """Stripes or dots over the whole stamp; they do not turn with the shape."""
    image = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(image)
    step = max(4 * FINER, round(radius * FINER * 0.52))
    if texture == "striped":
        for x in range(fine // 2 % step - step, fine, step):
            pen.rectangle((x, 0, x + step * 2 // 5, fine), fill=255)
    if texture == "dotted":
        dot = round(step * 0.3)
        for x in range(fine // 2 % step, fine, step):
            for y in range(fine // 2 % step, fine, step):
                pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=255)
    return image


def _turned(points: Points, radius: int, degrees: int, half: int) -> list[tuple[int, int]]:
    """Unit outline to whole fine pixels around the middle of the stamp."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    scale, middle = radius * FINER, half * FINER
    return [
        (round(middle + scale * (x * cos - y * sin)), round(middle + scale * (x * sin + y * cos)))
        for x, y in points
    ]


def _around(*radii: float, start: float = -90.0, count: int) -> Points:
    """Points evenly around the middle, cycling through the radii."""
    angles = [math.radians(start + 360 * number / count) for number in range(count)]
    return [
        (radii[number % len(radii)] * math.cos(angle), radii[number % len(radii)] * math.sin(angle))
        for number, angle in enumerate(angles)
    ]


def _heart() -> Points:
    points = []
    for number in range(48):
        t = 2 * math.pi * number / 48
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 16.5, -(y + 2.5) / 16.5))
    return points


def _moon() -> Points:
    """A crescent that opens to the right: a disc without a smaller one through its two tips."""
    shift = 0.5
    tip = math.sqrt(0.5)
    radius = math.hypot(tip - shift, tip)
    widest = math.degrees(math.atan2(tip, tip - shift))
    outer = [math.radians(45 + 270 * number / 36) for number in range(37)]
    inner = [
        math.radians(360 - widest - (360 - 2 * widest) * number / 24) for number in range(1, 24)
    ]
    points = [(math.cos(a), math.sin(a)) for a in outer]
    points += [(shift + radius * math.cos(a), radius * math.sin(a)) for a in inner]
    return [(x + 0.15, y) for x, y in points]


OUTLINES: dict[str, list[Points]] = {
    "circle": [_around(0.96, count=48)],
    "square": [_around(1.2, start=-45, count=4)],
    "triangle": [[(0.0, -1.0), (1.0, 0.8), (-1.0, 0.8)]],
    "star": [_around(1.1, 0.46, count=10)],
    "heart": [_heart()],
    "cross": [
        [
            (-0.35, -1.0), (0.35, -1.0), (0.35, -0.35), (1.0, -0.35), (1.0, 0.35), (0.35, 0.35),
            (0.35, 1.0), (-0.35, 1.0), (-0.35, 0.35), (-1.0, 0.35), (-1.0, -0.35), (-0.35, -0.35),
        ]
    ],
    "ring": [_around(1.0, count=48), _around(0.45, count=48)],
    "moon": [_moon()],
}  # fmt: skip
"""Unit outlines, y down; a second outline is a hole."""
