"""What merging gains: multiply-adds, and windows per second."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tempme.evaluation.timing import clock, encoding, in_turns, ratio
from tempme.index.building.encode import encode_windows
from tempme.retriever.retriever import Retriever
from tempme.systems.budget import dense_gmacs

ALONE, OVERLAPPING = 4, 6  # windows that are timed at once
ROUNDS = 3

Floats = NDArray[np.float32]


def features_of(
    retriever: Retriever,
    pixels: NDArray[np.uint8],
    on_window: Callable[[int, int], None] = lambda *_: None,
) -> Floats:
    """Windows (W, F, S, S, 3) -> unit features (W, D), as the model is now.

    One window at a time: several are 4 % quicker, and hold as many times the memory.
    """
    parts = [np.zeros((0, retriever.feature_size), np.float32)]
    with torch.no_grad():
        for done, window in enumerate(pixels, start=1):
            frames = retriever.transform(np.array(window)[None])
            parts.append(retriever.encode_videos(frames).float().cpu().numpy())
            on_window(done, len(pixels))
    return np.concatenate(parts)


def costs(merging: Retriever) -> dict[str, float]:
    """Giga multiply-adds of a window encoded alone, and the share of the dense ones."""
    dense, merged = dense_gmacs(merging.system), merging.system.cost().gmacs
    return {
        "dense_gmacs": round(dense, 4),
        "merged_gmacs": round(merged, 4),
        "share": round(merged / dense, 4),
    }


def speeds(dense: Retriever, merging: Retriever) -> dict[str, Any]:
    """Windows per second of both models, ready for inference, in turns, and how many times as fast.

    alone: each window as the paper counts it; overlapping: by half, as an index cuts them.

    In an index windows overlap, and blocks before the first join see a frame once for all windows
    that show it: there merging saves less.
    """
    models = {"dense": dense, "merged": merging}
    jobs = {("alone", name): encoding(one, ALONE) for name, one in models.items()}
    jobs |= {("overlapping", name): _overlapping(one) for name, one in models.items()}
    seconds = in_turns({" ".join(key): job for key, job in jobs.items()}, rounds=ROUNDS)
    found: dict[str, Any] = {}
    for kind, count in (("alone", ALONE), ("overlapping", OVERLAPPING)):
        of_dense, of_merged = (seconds[f"{kind} {name}"] for name in models)
        found[kind] = {
            "dense": round(count / median(of_dense), 4),
            "merged": round(count / median(of_merged), 4),
            "times": round(ratio(of_dense, of_merged), 3),
        }
    return {**found, "clock": clock(), "threads": torch.get_num_threads(), "rounds": ROUNDS}


def _overlapping(ready: Retriever) -> Callable[[], object]:
    step = max(1, ready.num_frames // 2)
    first = step * np.arange(OVERLAPPING)[:, None]
    windows = first + np.arange(ready.num_frames)[None]
    pixels = _noise(ready, int(windows.max()) + 1)
    return lambda: encode_windows(ready, pixels, windows=windows)


def _noise(ready: Retriever, frames: int) -> NDArray[np.uint8]:
    """Pixels whose content costs no more and no less than any other."""
    size = ready.image_size
    drawn = np.random.default_rng(0).integers(0, 256, (frames, size, size, 3))
    return drawn.astype(np.uint8)
