"""A folder of sentence-transformers encodes as the model that it is of, texts and videos."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tempme
from tempme.errors import BadSetting, BadVideo
from tempme.exporting.formats import export
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.video import read_video

library = pytest.importorskip(
    "sentence_transformers", reason="needs the extra sentence-transformers"
)
from tempme.exporting.given_videos import pixels_of  # noqa: E402


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return Retriever.load("scenes-tiny")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """(file, caption) of four scenes."""
    folder = tmp_path_factory.mktemp("films")
    pairs = write(4, folder, size=112, fps=6)
    return list({str(pair.video): pair.caption for pair in pairs}.items())


@pytest.fixture(scope="module")
def folder(retriever: Retriever, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export") / "model"
    files = export(retriever.parts, "sentence-transformers", place)
    assert sorted(p.name for p in place.iterdir()) == sorted(name.strip("/") for name in files)
    return place


def load(folder: Path) -> Any:
    return library.SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return load(folder)


@pytest.mark.slow
@torch.no_grad()
def test_it_encodes_as_the_model_does(
    model: Any, retriever: Retriever, films: list[tuple[str, str]]
) -> None:
    paths, captions = zip(*films, strict=True)
    texts = model.encode(list(captions))
    assert np.abs(texts - retriever.encode_texts(captions).numpy()).max() < 2e-6
    expected = retriever.encode_videos(list(paths)).numpy()
    for given in (list(paths), [{"video": path} for path in paths]):
        assert np.abs(model.encode(given) - expected).max() < 2e-6
    # The same order as with the retriever alone, and the right one.
    found = model.similarity(texts, expected).argmax(dim=1)
    assert found.tolist() == (texts @ expected.T).argmax(axis=1).tolist()
    assert model.get_embedding_dimension() == retriever.feature_size
    assert model.max_seq_length == retriever.system.max_words


def test_videos_in_every_form(
    model: Any, retriever: Retriever, films: list[tuple[str, str]]
) -> None:
    frames = read_video(films[0][0], size=retriever.image_size)
    forms = [
        frames,
        torch.from_numpy(frames).permute(0, 3, 1, 2),
        [Image.fromarray(frame) for frame in frames],
        {"array": frames, "video_metadata": None},
    ]
    expected = model.encode([{"video": frames}])[0]
    for form in forms:
        assert np.abs(model.encode([{"video": form}])[0] - expected).max() < 2e-6
    wide = np.repeat(frames, 2, axis=2).repeat(3, axis=0)  # more frames, and not square
    both = model.encode([{"video": frames}, {"video": wide}])
    assert np.abs(both[0] - expected).max() < 2e-6
    assert pixels_of(wide, retriever).shape == frames.shape


def test_a_webm_is_a_video_and_a_name_of_none_a_text(
    model: Any, films: list[tuple[str, str]], tmp_path: Path
) -> None:
    webm = tmp_path / "film.webm"
    shutil.copy(films[0][0], webm)
    assert np.abs(model.encode([str(webm)]) - model.encode([films[0][0]])).max() < 2e-6
    as_text = model.encode(["no such film.mp4", {"text": str(webm)}])
    assert as_text.shape == (2, model.get_embedding_dimension())


def test_prompts_go_before_texts(model: Any) -> None:
    both = model.encode(["red circle"], prompt="a "), model.encode(["a red circle"])
    assert np.abs(both[0] - both[1]).max() < 2e-6


def test_what_cannot_be_encoded(model: Any, films: list[tuple[str, str]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mixes multiple modalities|texts and videos in one call"):
        model.encode([films[0][0], "a circle"])
    with pytest.raises(BadSetting, match="a video is a path, a uint8 array"):
        model.encode([{"video": np.zeros((2, 3, 8, 8, 3), dtype=np.uint8)}])
    with pytest.raises(BadSetting, match="float32"):
        model.encode([{"video": np.zeros((2, 8, 8, 3), dtype=np.float32)}])
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(BadVideo, match="broken"):
        model.encode([str(tmp_path / "broken.mp4")])
    with pytest.raises((BadSetting, ValueError)):
        model.encode([{"audio": np.zeros(9), "text": "a"}])


def test_it_is_saved_and_loaded_again(model: Any, tmp_path: Path) -> None:
    model.save(str(tmp_path / "again"))
    again = load(tmp_path / "again")
    words = ["a red circle moves to the left"]
    assert np.array_equal(again.encode(words), model.encode(words))
    assert tempme.load(tmp_path / "again" / "retriever").system.name == "tempme"


def test_trust_is_asked_for(folder: Path) -> None:
    with pytest.raises(ValueError, match="trust_remote_code"):
        library.SentenceTransformer(str(folder), device="cpu")


def test_gradients_reach_what_learns(folder: Path) -> None:
    learning = load(folder).train()
    features = learning.preprocess(["a red circle"])
    learning(features)["sentence_embedding"].sum().backward()
    moved = [n for n, p in learning.named_parameters() if p.grad is not None]
    assert moved
    assert all("text" in name for name in moved)


@pytest.mark.slow
def test_the_verb(tmp_path: Path, folder: Path) -> None:
    command = [str(Path(sys.executable).with_name("tempme")), "export", "scenes-tiny"]
    done = subprocess.run(
        [*command, "--format", "sentence-transformers", "--out", "out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "SentenceTransformer(out, trust_remote_code=True)" in done.stderr
    for name in ("modules.json", "config_sentence_transformers.json", "README.md"):
        assert (tmp_path / "out" / name).read_text() == (folder / name).read_text()
    (module,) = json.loads((folder / "modules.json").read_text())
    assert module["type"] == "tempme_sentence_transformers.VideoTextModule"
