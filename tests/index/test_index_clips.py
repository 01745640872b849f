"""The main job on real clips: all are indexed, and an altered copy finds its original first."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from tempme.index import Counts, Index

FOLDER = Path(__file__).parents[3] / "shared" / "videos"
SUFFIXES = {".mp4", ".avi", ".mkv", ".gif"}
CLIPS = sorted(p for p in FOLDER.glob("*") if p.suffix in SUFFIXES) if FOLDER.is_dir() else []
GALLERY = CLIPS[3::12]
QUERIES = GALLERY[1::3]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLIPS, reason=f"no real clips at {FOLDER}"),
]


def altered_copy(path: Path, copy: Path, *, scale: float = 0.6, trim: float = 0.1) -> Path:
    """The same film, smaller, encoded anew, a tenth of it cut off at either end."""
    with av.open(str(path)) as source, av.open(str(copy), "w") as out:
        frames = list(source.decode(video=0))
        kept = frames[round(trim * len(frames)) : max(1, round((1 - trim) * len(frames)))]
        stream = out.add_stream("libx264", rate=25, options={"crf": "30", "preset": "veryfast"})
        stream.width = max(2, round(kept[0].width * scale) // 2 * 2)
        stream.height = max(2, round(kept[0].height * scale) // 2 * 2)
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(kept[0].rotation)
        stream.codec_context.sample_aspect_ratio = source.streams.video[0].sample_aspect_ratio or 1
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(kept):
            small = frame.reformat(stream.width, stream.height, "yuv420p")
            seconds = frame.time - kept[0].time if frame.time is not None else number / 25
            small.pts, small.time_base = round(1000 * seconds), Fraction(1, 1000)
            small.pict_type = 0
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return copy


def save_untrained_clip(folder: Path) -> Path:
    """A model of the size of ViT-B/32 in the layout of transformers, with random weights."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for path in GALLERY:
        (folder / path.name).symlink_to(path)
    return folder


def find_copies(index: Index, folder: Path) -> dict[str, int]:
    """The place at which each altered copy finds its original, 1 for the first."""
    places = {}
    for path in QUERIES:
        copy = altered_copy(path, folder / f"{path.stem}.mp4")
        found = [hit.path for hit in index.similar(copy, k=len(GALLERY))]
        places[path.name] = found.index(path.resolve()) + 1
    return places


def test_the_shipped_model(clips: Path, tmp_path: Path) -> None:
    index = Index.open(tmp_path / "a.tempme", retriever="scenes-tiny", create=True)
    assert index.add(clips).videos == Counts(indexed=len(GALLERY))
    assert set(find_copies(index, tmp_path).values()) == {1}


def test_a_model_from_transformers(clips: Path, tmp_path: Path) -> None:
    model = save_untrained_clip(tmp_path / "clip")
    index = Index.open(tmp_path / "a.tempme", retriever=str(model), create=True)
    assert index.add(clips).videos == Counts(indexed=len(GALLERY))
    assert set(find_copies(index, tmp_path).values()) == {1}
