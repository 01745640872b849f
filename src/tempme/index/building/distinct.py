"""Moments that repeat what was shown just before, kept out; the one that stands for them grows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float16]
Spans = NDArray[np.float64]


def without_repeats(spans: Spans, features: Features, epsilon: float) -> tuple[Spans, Features]:
    """The moments of a video, spans (W, 2) and unit features (W, D), without those that repeat.

    A moment repeats the last one that was kept where 1 - cosine is below `epsilon`; it is that one
    which it is compared with, so that a slow change is not lost step by step. What is kept lasts
    until the end of what repeats it. 0 keeps all.
    """
    if epsilon <= 0 or len(spans) < 2:
        return spans, features
    order = np.argsort(spans[:, 0], kind="stable")
    units = features.astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    kept, ends = [int(order[0])], [float(spans[order[0], 1])]
    for place in order[1:]:
        start, end = spans[place]
        if start <= ends[-1] and 1 - float(units[kept[-1]] @ units[place]) < epsilon:
            ends[-1] = max(ends[-1], float(end))
        else:
            kept.append(int(place))
            ends.append(float(end))
    longer = spans[kept].copy()
    longer[:, 1] = ends
    return longer, features[kept]
