"""One row of the table of what can happen in a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tempme.scenes.stages import Stage


@dataclass(frozen=True)
class Plot:
    """One row of the table.

    `cast` says how the second thing differs from the first: "any" (another colour or shape),
    "colour" (same shape), "shape" (same colour); "" if there is one thing only. Of lively plots:
    "four" unlike things, or two of four "alike", or alike but for their "texture".
    `exchanges` says what of the first two things another scene may have the other way round, so
    that its captions are others: their "places" or "textures"; "" where time alone tells.
    """

    cast: str
    stage: Stage
    deeds: tuple[str, ...]
    words: tuple[str, ...]
    reversed_words: tuple[str, ...] = ()
    num_verbs: int = 0
    exchanges: Literal["", "places", "textures"] = ""
