"""The camera: which part of a canvas is seen, and where things then are in the picture."""

from __future__ import annotations

import numpy as np

from tempme.scenes.filming.canvases import Pixels
from tempme.scenes.filming.shots import Camera, Shot, between, hashed
from tempme.scenes.world import Pose

WIDEST = 1.5
"""Pictures along a side of the view, at zoom 0.9; the rest of the canvas is room to pan."""


def view(canvas: Pixels, shot: Shot, share: float, tick: int, size: int) -> Pixels:
    """What the camera sees of the canvas, (size, size, 3); the nearest pixel of each."""
    side = canvas.shape[0]
    span = round(WIDEST * size * 0.9 / zoom_at(shot.camera, share))
    shakes = shaken(shot, tick)
    starts = [
        _start(shot.camera.start[axis], shot.camera.end[axis], share, shakes[axis], side, span)
        for axis in (0, 1)
    ]
    steps = np.arange(size) * span // size
    columns, rows = starts[0] + steps, starts[1] + steps
    if shot.flip:
        columns = columns[::-1]
    whole = canvas.view(np.uint32)[..., 0]
    picked = whole.take(rows[:, None] * side + columns)
    four = picked.view(np.uint8).reshape(size, size, 4)
    frame = np.empty((size, size, 3), np.uint8)
    for colour in range(3):  # one by one: faster than all three of each pixel
        frame[..., colour] = four[..., colour]
    return frame


def seen(pose: Pose, shot: Shot, share: float, tick: int) -> Pose:
    """A pose as the camera shows it: it follows what it films, but for zoom and shaking."""
    zoom = zoom_at(shot.camera, share)
    dx, dy = shaken(shot, tick)
    return pose._replace(
        x=0.5 + (pose.x - 0.5) * zoom + dx,
        y=0.5 + (pose.y - 0.5) * zoom + dy,
        radius=pose.radius * zoom,
    )


def zoom_at(camera: Camera, share: float) -> float:
    """How close the camera is."""
    return between(*camera.zoom, share)


def shaken(shot: Shot, tick: int) -> tuple[float, float]:
    """Where a shaking hand has moved the picture, in shares of it."""
    if not shot.camera.shake:
        return 0.0, 0.0
    drawn = hashed(shot.seed, tick)
    return tuple(  # type: ignore[return-value]
        shot.camera.shake * ((drawn >> shift & 255) - 128) / 128 for shift in (0, 8)
    )


def _start(start: float, end: float, share: float, shake: float, side: int, span: int) -> int:
    room = side - span
    return min(room, max(0, round(between(start, end, share) * room - shake * span)))
