"""Features of an index: those of every window alone, and none that points nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from index_material import ColourRetriever, new_index, write_films, write_video
from tempme.errors import BadSetting
from tempme.index import Counts, Index
from tempme.index.building.encode import FRAMES_PER_CALL, encode_windows
from tempme.video import Reading, VideoWindows, load_windows


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_films(tmp_path / "films")


def features_of(index: Index, path: Path) -> np.ndarray:
    (row,) = [video for video in index.videos() if video.path == path]
    return index._store.gallery([row.digest]).features


@pytest.mark.slow
def test_features_are_those_of_every_window_alone(tmp_path: Path, films: Path) -> None:
    index, model = new_index(tmp_path), ColourRetriever()
    index.add(films)
    path = films / "green blue.mp4"
    video = load_windows(path, Reading(frames=model.num_frames, size=model.image_size))
    assert isinstance(video, VideoWindows)
    alone = [
        model.encode_windows(model.transform(video.pixels[w]), torch.arange(4)[None])
        for w in video.windows
    ]
    stored = features_of(index, path).astype(np.float32)
    assert stored.shape == (len(video.windows), model.feature_size)
    assert np.abs(stored - torch.cat(alone).numpy()).max() < 1e-3


class UnsureRetriever(ColourRetriever):
    """Gives something else than a feature on dark frames: NaN, as half precision can overflow."""

    instead = torch.nan

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        features = super().encode_windows(frames, windows)
        dark = frames[windows].mean(dim=(1, 2, 3, 4)) < 0.2
        return torch.where(dark[:, None], self.instead, features)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instead", "problem"), [(torch.nan, "NaN"), (torch.inf, "NaN"), (0.0, "zero"), (1e-6, "zero")]
)
def test_what_points_nowhere_never_gets_into_an_index(
    tmp_path: Path, films: Path, instead: float, problem: str
) -> None:
    write_video(films / "night.mp4", ["black"])
    model = UnsureRetriever()
    model.instead = instead
    index = new_index(tmp_path, model)
    report = index.add(films)
    reasons = {video.path.name: video.reason for video in report.failures}
    assert reasons["night.mp4"] == f"the model gave no usable feature ({problem}) for it"
    assert report.videos == Counts(indexed=3, failed=2)
    lengths = np.linalg.norm(index._store.gallery().features.astype(np.float32), axis=1)
    assert lengths == pytest.approx(np.ones(4), abs=1e-2)
    with pytest.raises(BadSetting, match=rf"no usable feature \({problem}\) for this query"):
        index.similar(films / "night.mp4")


def test_a_picture_that_points_nowhere_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (60, 60), (5, 5, 5)).save(tmp_path / "night.png")
    report = new_index(tmp_path, UnsureRetriever()).add(tmp_path / "night.png", workers=1)
    (failed,) = report.failures
    assert failed.reason == "the model gave no usable feature (NaN) for it"
    assert report.videos == Counts(failed=1)


def test_batches_change_no_feature() -> None:
    model = ColourRetriever()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    windows = np.arange(148)[:, None] * 2 + np.arange(4)
    assert windows.max() > 2 * FRAMES_PER_CALL
    whole = model.encode_windows(model.transform(pixels), torch.from_numpy(windows))
    assert np.allclose(encode_windows(model, pixels, windows=windows), whole.numpy(), atol=1e-6)
