"""Scenes to pixels: a frame, or all of a video."""

from __future__ import annotations

import numpy as np

from tempme.scenes.backgrounds import backdrop
from tempme.scenes.filming.film import filmed
from tempme.scenes.scene import Scene
from tempme.scenes.stamps import DARK, LIGHT, Pixels, place
from tempme.scenes.tracks import pose_at
from tempme.scenes.world import TICKS


def draw(scene: Scene, at: float, *, size: int = 112) -> Pixels:
    """The frame at the share `at` of the duration, (size, size, 3)."""
    if scene.shots:
        return filmed(scene, scene.tick(at), size)
    frame = backdrop(scene.background, size).copy()
    share = scene.tick(at) / TICKS
    outline = LIGHT if scene.background == "night" else DARK
    for actor in scene.actors:
        pose = pose_at(actor.track, share)
        if pose.shown >= 0.5:
            place(frame, actor.thing, pose, outline)
    return frame


def clip(scene: Scene, frames: int = 12, *, size: int = 112) -> Pixels:
    """Frames at even times from the first to the last, (frames, size, size, 3)."""
    last = max(1, frames - 1)
    return np.stack([draw(scene, number / last, size=size) for number in range(frames)])
