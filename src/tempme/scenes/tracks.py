"""Where a thing is at an instant."""

from __future__ import annotations

from itertools import pairwise

from tempme.scenes.world import Pose, Track


def pose_at(track: Track, share: float) -> Pose:
    """Between two keys of a track, evenly."""
    for (before, start), (after, end) in pairwise(track):
        if before <= share <= after:
            part = (share - before) / (after - before) if after > before else 0.0
            return Pose(*(a + (b - a) * part for a, b in zip(start, end, strict=True)))
    return track[-1][1]
