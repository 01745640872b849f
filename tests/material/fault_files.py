"""The small files in `tests/faults`, and what `scenes-tiny` makes of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import tempme
from tempme.index.building.encode import encode_windows
from tempme.video import Frames, Reading, VideoInfo, load, probe, read_image
from tempme.video.sampling import spread

FAULTS = Path(__file__).parents[1] / "faults"
QUERY_A = "a brown ring to the left of a green circle on grass"
QUERY_B = "a red cross to the left of a pink cross in a cloudy sky"


@cache
def model() -> Any:
    return tempme.load("scenes-tiny")


def info_of(name: str) -> VideoInfo:
    info = probe(FAULTS / name)
    assert isinstance(info, VideoInfo), info
    return info


def feature_of(name: str, start: float | None = None, end: float | None = None) -> np.ndarray:
    """(D,) the feature of a span of a video, or of all of it."""
    times = None if start is None or end is None else spread(start, end, model().num_frames)
    reading = Reading(frames=model().num_frames, size=model().image_size)
    found = load(FAULTS / name, reading, seconds=times)
    assert isinstance(found, Frames), found
    return encode(found.pixels)


def feature_of_picture(path: Path, **how: Any) -> np.ndarray:
    """(D,) the feature of a picture as a query."""
    picture = read_image(path, model().image_size, **how)
    assert isinstance(picture, np.ndarray), picture
    return encode(np.repeat(picture[None], model().num_frames, axis=0))


def encode(pixels: np.ndarray) -> np.ndarray:
    """(F, S, S, 3) -> (D,)."""
    with torch.inference_mode():
        return encode_windows(model(), pixels, windows=np.arange(len(pixels))[None])[0]


def score(query: str, feature: np.ndarray) -> float:
    """How like a text a feature is."""
    with torch.inference_mode():
        return float(feature @ model().encode_texts([query])[0].float().numpy())
