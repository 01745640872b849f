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
    cutting = asdict(header.cutting)
    if not header.cutting.has_rule or header.cutting.sampling_rule == 1:  # as before there were two
        del cutting["sampling_rule"]
    told = [header.fingerprint, header.frames, header.features, cutting]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:LETTERS]
