"""Videos with captions: annotation files, folders (`folder`), and generated worlds (`scenes`).

The function `scenes.scenes` is not repeated here: its name is the package's.
"""

from __future__ import annotations

from tempme.datasets.folder import load_folder
from tempme.datasets.pairs import Pair
from tempme.scenes import Scene, clip, draw, random_scene, write, write_video

__all__ = ["Pair", "Scene", "clip", "draw", "load_folder", "random_scene", "write", "write_video"]
