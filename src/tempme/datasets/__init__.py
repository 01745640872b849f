"""Videos with captions: annotation files of the field, and folders with captions of one's own."""

from __future__ import annotations

from tempme.datasets.folder import load_folder
from tempme.datasets.pairs import Pair

__all__ = ["Pair", "load_folder"]
