"""A world that can be generated: captioned videos, drawn, with events in time.

world (words, things) -> stages (tracks) -> stories (the table) -> scene (values, captions, splits)
-> drawing (pixels) -> recording (files). lively has plots of its own, and filming what a camera
adds to them.
"""

from __future__ import annotations

from tempme.scenes.drawing import clip, draw
from tempme.scenes.recording import write, write_video
from tempme.scenes.scene import Scene, lookalike, random_scene, scenes
from tempme.scenes.world import PARTS, PLAIN_PARTS, SPLITS, Part, Split

__all__ = [
    "PARTS",
    "PLAIN_PARTS",
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
