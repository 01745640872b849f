"""What a writer does where another one sweeps between its moments and the rows that name them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tempme.index.moments import Moments, Video
from tempme.index.stores.rows import gallery_from

# How often a writer puts moments again that others sweep.
ATTEMPTS = 5


def moments_in(rows: Any, digests: Iterable[str], *, width: int) -> dict[str, Moments]:
    """The moments of these contents in a table of Arrow; of what has none there, nothing."""
    gallery = gallery_from(rows, dict.fromkeys(digests, ()), width=width)
    found = map(gallery.content, range(len(gallery.contents)))
    return {each.digest: each for each in found}


def row_of(video: Video, stored: Moments | None) -> Video:
    """The row of a video whose moments are those that are stored."""
    if stored is None or video.status != "ok":
        return video
    return replace(video, num_moments=len(stored.spans), checksum=stored.checksum)


def swept_too_often(name: Path | str) -> str:
    """What a person is told of moments that never stay."""
    return (
        f"cannot write to the index {name}: other machines removed the moments of a video "
        f"{ATTEMPTS} times before its row was there; wait until they are done, then run the same "
        "command again"
    )
