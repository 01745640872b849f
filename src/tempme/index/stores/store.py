"""Where an index keeps its rows: the protocol that every store fulfils.

A content's moments are written before the row of the video that needs them, and a moment counts
only while some video row names its digest. So a process may die between any two writes: what it
leaves behind is either a whole video or an orphan that nobody sees and `sweep` removes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tempme.index.moments import Gallery, Moments, Video
from tempme.index.stores.damage import Damage


class Store(Protocol):
    """Durable tables of videos and moments. One writer at a time, any number of readers."""

    def videos(self) -> tuple[Video, ...]:
        """Every row of the video table, ordered by path; "damaged" where it or moments are lost."""
        ...

    def put(self, videos: Sequence[Video], moments: Sequence[Moments]) -> None:
        """Add the moments, then insert or replace the rows of these paths."""
        ...

    def forget(self, paths: Collection[Path]) -> None:
        """Remove the rows of these paths."""
        ...

    def sweep(self) -> int:
        """Remove the moments that no ok video names; the number of contents removed."""
        ...

    def tidy(self) -> None:
        """Compact what many small writes left, and index the features where that pays."""
        ...

    def num_moments(self) -> int:
        """How many moments are stored, orphans included."""
        ...

    def version(self) -> str:
        """A word that changes with every write."""
        ...

    def is_large(self) -> bool:
        """Whether the store has an index of its features, as its size makes scans slow."""
        ...

    def gallery(self, only: Collection[str] | None = None) -> Gallery:
        """The moments of all contents, or of `only` these, in memory for an exact scan."""
        ...

    def pieces(self) -> Iterator[Gallery]:
        """All moments in pieces, each content whole; the files left out come with them."""
        ...

    def nearest(self, feature: NDArray[np.float32], k: int) -> list[str]:
        """The contents of about the k moments nearest to `feature`, best first."""
        ...

    def upgrade(self) -> None:
        """Give the rows that an older version wrote what those of this one have."""
        ...

    def check(self) -> Damage:
        """What is damaged, after a look at every row and every moment."""
        ...

    def repair(self, damage: Damage) -> None:
        """Take out what `check` found, so that the next run embeds it again."""
        ...
