"""What the index asks of a model, and features from it in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.halving import in_halves

if TYPE_CHECKING:
    from torch import Tensor

# Frames that one call of the model sees at most: 96 frames of 224 px are 58 MB as float32.
FRAMES_PER_CALL = 96
TEXTS_PER_CALL = 64
# Features are of length 1 but for rounding; what is shorter points nowhere.
SHORTEST = 0.5


class Encoder(Protocol):
    """The part of `Retriever` that an index uses."""

    @property
    def num_frames(self) -> int:
        """Frames that make one window."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the square frames, in pixels."""
        ...

    @property
    def feature_size(self) -> int:
        """Width of a feature."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names the weights and the system: equal models have equal ones."""
        ...

    @property
    def fingerprints(self) -> tuple[str, str]:
        """Its fingerprint, and the one that an index of format 1 has for it; empty for none."""
        ...

    @property
    def origin(self) -> str:
        """Where the weights come from, for a person."""
        ...

    def transform(self, frames: Any) -> Tensor:
        """Uint8 (..., H, W, 3) -> normalised float (..., 3, H, W)."""
        ...

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        """Frames (N, 3, H, W) and indices (W, F) into them -> unit features (W, D)."""
        ...

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Texts -> unit features (T, D)."""
        ...

    def unread(self, text: str) -> str:
        """What of a text the model does not take in; empty if it takes in all."""
        ...

    def for_inference(
        self, precision: str = "auto", engine: str = "auto", device: str | None = None
    ) -> Encoder:
        """The same model as fast as it gets here, or as is asked for."""
        ...

    def save(self, folder: Path) -> Path:
        """Write everything that `tempme.load` needs to make it again."""
        ...


def encode_windows(
    retriever: Encoder, pixels: NDArray[np.uint8], *, windows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Pixels (N, S, S, 3) and windows (W, F) -> features (W, D), a bounded batch at a time.

    Smaller batches where a GPU lacks the memory; BadSetting where it lacks that for one window.
    """
    import torch

    def encoded(batch: NDArray[np.int64]) -> NDArray[np.float32]:
        distinct, places = np.unique(batch, return_inverse=True)
        with torch.inference_mode():
            frames = retriever.transform(pixels[distinct])
            indices = torch.from_numpy(places.reshape(batch.shape).astype(np.int64))
            made: NDArray[np.float32] = (
                retriever.encode_windows(frames, indices).float().cpu().numpy()
            )
            return made

    none = np.zeros((0, retriever.feature_size), dtype=np.float32)
    return np.concatenate([none, *(in_halves(encoded, batch) for batch in _batches(windows))])


def encode_queries(retriever: Encoder, queries: Sequence[str]) -> NDArray[np.float32]:
    """Texts -> features (Q, D), a bounded batch at a time."""
    import torch

    parts = [np.zeros((0, retriever.feature_size), dtype=np.float32)]
    for start in range(0, len(queries), TEXTS_PER_CALL):
        batch = list(queries[start : start + TEXTS_PER_CALL])
        with torch.inference_mode():
            parts.append(retriever.encode_texts(batch).float().cpu().numpy())
    return np.concatenate(parts)


def why_unusable(features: NDArray[np.float16] | NDArray[np.float32]) -> str:
    """What is wrong with features (N, D) that have to be of unit length; empty if nothing."""
    if not len(features):
        return "none"
    if not np.isfinite(features).all():
        return "NaN"
    lengths = np.linalg.norm(features.astype(np.float32), axis=1)
    return "zero" if lengths.min() < SHORTEST else ""


def _batches(windows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Runs of neighbouring windows, which share frames, with few enough distinct ones."""
    start = 0
    while start < len(windows):
        stop = _end_of_batch(windows, start)
        yield windows[start:stop]
        start = stop


def _end_of_batch(windows: NDArray[np.int64], start: int) -> int:
    distinct: set[int] = set()
    for stop in range(start, len(windows)):
        distinct.update(windows[stop].tolist())
        if len(distinct) > FRAMES_PER_CALL and stop > start:
            return stop
    return len(windows)


def join_batches(pieces: Sequence[NDArray[np.float32]]) -> NDArray[np.float16]:
    """The features of a video's pieces as stored: half precision moves a score by 1e-4 at most."""
    return np.concatenate(pieces).astype(np.float16)
