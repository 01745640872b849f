"""A world that can be generated: captioned videos, drawn, with events in time.

world (words, things) -> stages (tracks) -> plots (the table) -> scene (values, captions, splits)
-> drawing (pixels) -> recording (files).
"""

from __future__ import annotations

from tempme.scenes.drawing import clip, draw
from tempme.scenes.recording import write, write_video
from tempme.scenes.scene import Scene, lookalike, random_scene, scenes
from tempme.scenes.world import PARTS, SPLITS, Part, Split

__all__ = [
    "PARTS",
    "SPLITS",
    "Part",
    "Scene",
    "Split",
    "clip",
    "draw",
    "lookalike",
    "random_scene",
    "scenes",
    "write",
    "write_video",
]
