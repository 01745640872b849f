"""What features depend on, apart from the video: half of the name of a unit of work."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from tempme.index.header import Header

LETTERS = 16


def recipe_of(header: Header) -> str:
    """A name for model and cutting: the same on every machine, another one for other features.

    A unit of work is a content (its digest) under a recipe; sampling and fit are in the cutting.
    """
    told = [header.fingerprint, header.frames, header.features, asdict(header.cutting)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:LETTERS]
