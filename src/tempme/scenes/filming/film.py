"""A frame of a lively scene: place, drifters, things, posts, light, sensor; one after the other."""

from __future__ import annotations

from tempme.scenes.filming.camera import seen, view
from tempme.scenes.filming.canvases import Pixels, canvas
from tempme.scenes.filming.clutter import drift, pass_by
from tempme.scenes.filming.light import lit
from tempme.scenes.filming.sensor import sensed
from tempme.scenes.filming.shots import shot_at
from tempme.scenes.scene import Scene
from tempme.scenes.stamps import DARK, LIGHT, place
from tempme.scenes.tracks import pose_at
from tempme.scenes.world import TICKS


def filmed(scene: Scene, tick: int, size: int) -> Pixels:
    """The frame of an instant of the scene's tracks, (size, size, 3)."""
    share = tick / TICKS
    shot = shot_at(scene.shots, share)
    behind = canvas(scene.background, shot.canvas, size)
    frame = view(behind, shot, share, tick, size)
    for drifter in shot.drifters:
        drift(frame, drifter, share)
    outline = LIGHT if scene.background == "night" else DARK
    for actor in scene.actors:
        pose = pose_at(actor.track, share)
        if pose.shown >= 0.5:
            place(frame, actor.thing, seen(pose, shot, share, tick), outline)
    for post in shot.posts:
        pass_by(frame, post, behind, share)
    return sensed(lit(frame, shot.light, share), shot.sensor, shot.seed, tick)
