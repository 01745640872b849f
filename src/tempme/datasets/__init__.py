"""Videos with captions: annotation files, folders, and scenes that are generated."""

from __future__ import annotations

from tempme.datasets.folder import load_folder
from tempme.datasets.pairs import Pair
from tempme.datasets.scenes import (
    Scene,
    clip,
    draw,
    random_scene,
    scenes,
    write,
    write_video,
)

__all__ = [
    "Pair",
    "Scene",
    "clip",
    "draw",
    "load_folder",
    "random_scene",
    "scenes",
    "write",
    "write_video",
]
