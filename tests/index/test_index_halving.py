"""What a GPU has no memory for goes through in halves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from index_material import ColourRetriever
from tempme.errors import BadSetting
from tempme.index.building.encode import encode_windows


class Small(ColourRetriever):
    """Out of memory, as a GPU says it, where a batch has more than `most` windows."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen, self.refused = most, [], 0

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        if len(windows) > self.most:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.seen.append(len(windows))
        return super().encode_windows(frames, windows)


def film(windows: int) -> tuple[np.ndarray, np.ndarray]:
    size = ColourRetriever().image_size
    pixels = np.random.default_rng(0).integers(0, 256, (windows + 3, size, size, 3), dtype=np.uint8)
    return pixels, np.arange(windows)[:, None] + np.arange(4)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7])
def test_features_are_the_same_and_in_order(most: int) -> None:
    pixels, windows = film(7)
    small = Small(most)
    expected = encode_windows(ColourRetriever(), pixels, windows=windows)
    found = encode_windows(small, pixels, windows=windows)
    assert np.allclose(found, expected, atol=1e-6)
    assert sum(small.seen) == len(windows)
    assert max(small.seen) <= most
    assert (small.refused > 0) == (most < 7)


def test_a_window_that_does_not_fit_is_said() -> None:
    pixels, windows = film(3)
    with pytest.raises(BadSetting, match=r"too little free memory for a single window.*--device"):
        encode_windows(Small(0), pixels, windows=windows)


def test_another_error_is_not_hidden() -> None:
    class Broken(ColourRetriever):
        def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
            del frames, windows
            raise RuntimeError("another")

    pixels, windows = film(3)
    with pytest.raises(RuntimeError, match="another"):
        encode_windows(Broken(), pixels, windows=windows)
