"""Which pieces of something that grows become one: the rule for tables and for search lists.

Each addition is a piece of its own. Once there are too many, the smallest are joined, and with them
every next larger piece that is no larger than what is joined by then. So sizes at least double from
piece to piece, and a row is written again as often as an index doubles by way of small additions,
not once for each of them (a log-structured merge, O'Neil et al. 1996).
"""

from __future__ import annotations

from collections.abc import Sequence

FEWEST_JOINED = 2


def to_join(sizes: Sequence[int], *, most: int) -> list[int]:
    """The places of those of more than `most` pieces that become one; none if there are no more."""
    if len(sizes) <= most:
        return []
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    joined, total = order[:FEWEST_JOINED], sum(sizes[place] for place in order[:FEWEST_JOINED])
    for place in order[FEWEST_JOINED:]:
        if sizes[place] > total:
            break
        joined.append(place)
        total += sizes[place]
    return sorted(joined)
