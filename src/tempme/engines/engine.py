"""What encodes in the place of PyTorch: functions of fixed shapes, called as often as needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.engines.runtimes import Function
from tempme.processes.cores import num_cores

Floats = NDArray[np.float32]
# Shape letters: N distinct frames, F frames of a window, W windows, T texts, D feature.


@dataclass(frozen=True, eq=False)
class Engine:
    """Pixels and ids -> unit features.

    functions: `frames` (where frames are alone at first), `windows` and `texts`, as in `Graphs`.
    num_frames, num_words: their fixed sizes. A call is of one window, or of as many frames, so that
    the feature of a video depends on no other video; in int8 those of windows that share frames
    depend a little on which frames are seen together. folder: where it was read from.
    threads: of a call, None for as many as there are cores.
    """

    name: str
    precision: str
    functions: Mapping[str, Function]
    num_frames: int
    num_words: int
    feature_size: int
    folder: Path | None = None

    def encode_windows(
        self, frames: Floats, windows: NDArray[np.int64], *, threads: int | None = None
    ) -> Floats:
        """(N, 3, S, S) normalised frames and (W, F) indices into them -> (W, D)."""
        number = threads or num_cores()
        shown = self._of_frames(frames, number) if "frames" in self.functions else [frames]
        of_window = self.functions["windows"]
        rows = [
            of_window(*(np.ascontiguousarray(each[window]) for each in shown), threads=number)[0]
            for window in windows
        ]
        return self._stacked(rows)

    def encode_videos(self, videos: Floats, *, threads: int | None = None) -> Floats:
        """(V, F, 3, S, S) normalised frames -> (V, D)."""
        every = np.arange(self.num_frames)[None]
        made = [self.encode_windows(video, every, threads=threads) for video in videos]
        return self._stacked(made)

    def encode_ids(self, ids: NDArray[np.int64], *, threads: int | None = None) -> Floats:
        """(T, W) ids, W up to `num_words`, 0 where padded -> (T, D)."""
        of_text, number = self.functions["texts"], threads or num_cores()
        rows = np.zeros((len(ids), self.num_words), dtype=np.int64)
        rows[:, : ids.shape[1]] = ids
        return self._stacked([of_text(row[None], threads=number)[0] for row in rows])

    def _of_frames(self, frames: Floats, threads: int) -> list[NDArray[Any]]:
        """What a window needs of each of N frames, as many at once as it shows."""
        made = []
        for start in range(0, len(frames), self.num_frames):
            part = frames[start : start + self.num_frames]
            lacking = self.num_frames - len(part)
            filled = np.concatenate([part, part[-1:].repeat(lacking, axis=0)]) if lacking else part
            outputs = self.functions["frames"](np.ascontiguousarray(filled), threads=threads)
            made.append([output[: len(part)] for output in outputs])
        return [np.concatenate(parts) for parts in zip(*made, strict=True)]

    def _stacked(self, rows: list[Floats]) -> Floats:
        if not rows:
            return np.zeros((0, self.feature_size), dtype=np.float32)
        return np.concatenate(rows).astype(np.float32, copy=False)
