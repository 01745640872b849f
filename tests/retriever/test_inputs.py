"""What people give to a retriever: files, pixels, texts, and what is none of these."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tempme
from split_video import make_video
from tempme.errors import BadSetting, BadVideo
from tempme.retriever.checkpoint import say_untrained
from tempme.retriever.retriever import Retriever
from tempme.retriever.unread import unread
from tiny_systems import TINY, tiny, videos


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    return tiny("tempme")


@torch.no_grad()
def test_videos_are_files_pixels_or_tensors(retriever: Retriever, tmp_path: Path) -> None:
    path = make_video(tmp_path / "a b \N{CLAPPER BOARD}.mp4")
    pixels = tempme.read_video(path, frames=12, size=80)
    assert (pixels.shape, pixels.dtype) == ((12, 80, 80, 3), np.uint8)
    expected = retriever.encode_videos(retriever.transform(pixels)[None])
    for given in ([path], [str(path)], [pixels], pixels[None], torch.as_tensor(pixels)[None]):
        torch.testing.assert_close(retriever.encode_videos(given), expected)
    two = retriever.encode_videos([path, pixels[::-1]])
    assert two.shape == (2, TINY.embed)
    assert retriever.encode_videos([]).shape == (0, TINY.embed)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "takes a list of paths .* not NoneType"),
        ("a.mp4", "takes a list of paths .* not str"),
        (7, "not int"),
        ([None], "a video is a path or uint8 pixels .* not NoneType"),
        ([np.zeros((3, 80, 80, 3), np.uint8)], r"not ndarray \(3, 80, 80, 3\)"),
        (np.zeros((1, 12, 80, 80, 3)), "pixels are float64; they are uint8 from 0 to 255"),
        (np.zeros((12, 80, 80, 3), np.uint8), r"frames are \(12, 3, 80, 80\); this model takes"),
        (torch.zeros(1, 12, 3, 8, 8), r"frames are \(1, 12, 3, 8, 8\)"),
        (torch.zeros(1, 3, 3, 80, 80), "videos of 3 frames"),
    ],
)
def test_what_is_no_video_is_told(retriever: Retriever, given: Any, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        retriever.encode_videos(given)


def test_a_file_that_cannot_be_read_is_named(retriever: Retriever, tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all")
    with pytest.raises(BadVideo, match=r"no\.mp4: "):
        retriever.encode_videos([tmp_path / "no.mp4"])
    with pytest.raises(BadVideo, match=r"gone\.mp4: "):
        tempme.read_video(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (None, "not NoneType"),
        ([[1, 2, 3]], "not list"),
        (np.full((4, 4, 3), 0.5, np.float32), r"are float32; .* \(255 \* pixels\)"),
        (torch.zeros(4, 4, 3), "are torch.float32"),
        (np.zeros((3, 4, 4), np.uint8), r"are \(3, 4, 4\); they are"),
        (np.zeros((4, 4, 3), bool), "are bool"),
    ],
)
def test_pixels_are_whole_numbers(retriever: Retriever, pixels: Any, words: str) -> None:
    with pytest.raises(BadSetting, match=words):
        retriever.transform(pixels)


@pytest.mark.parametrize("texts", [None, 3, "one text"])
def test_what_is_no_list_of_texts_is_told(retriever: Retriever, texts: Any) -> None:
    with pytest.raises(BadSetting, match="encode_texts takes a list of texts"):
        retriever.encode_texts(texts)


@pytest.mark.parametrize("source", [None, 3, ["ViT-B/32:openai"]])
def test_what_is_no_name_of_a_model_is_told(source: Any) -> None:
    with pytest.raises(BadSetting, match="a model is named by a text or a path, not by"):
        tempme.load(source)


def test_one_pixel_by_hand() -> None:
    """OpenAI's means and deviations, red, green and blue in this order."""
    clip = Retriever.build(tempme.system("clip4clip", backbone=TINY), None, seed=0)
    red, green, blue = clip.transform(np.array([[[255, 0, 51]]], np.uint8)).flatten().tolist()
    assert red == pytest.approx((1 - 0.48145466) / 0.26862954, abs=1e-6)
    assert green == pytest.approx((0 - 0.4578275) / 0.26130258, abs=1e-6)
    assert blue == pytest.approx((0.2 - 0.40821073) / 0.27577711, abs=1e-6)


def test_pixels_as_transformers_prepare_them(retriever: Retriever) -> None:
    from transformers import CLIPImageProcessor

    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    processor = CLIPImageProcessor(size={"shortest_edge": 80}, crop_size=80)
    (theirs,) = processor(pixels, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(retriever.transform(pixels).numpy(), theirs, atol=1e-6)


@torch.no_grad()
def test_similarity_is_the_cosine_and_logits_are_scaled(retriever: Retriever) -> None:
    features = retriever.encode_videos(videos())
    cosines = retriever.similarity(features, features)
    torch.testing.assert_close(cosines.diagonal(), torch.ones(2))
    assert cosines.abs().max() <= 1 + 1e-6
    scale = retriever.backbone.logit_scale.exp()
    torch.testing.assert_close(retriever.logits(features, features), scale * cosines)


def test_untrained_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    say_untrained.cache_clear()
    row = tempme.system("tempme", backbone="scenes-tiny")
    with caplog.at_level(logging.WARNING, "tempme"):
        for _ in range(2):
            Retriever.build(row, "scenes-tiny", seed=0)
        Retriever.build(row, None, seed=0)
        tempme.load("scenes-tiny")
    (said,) = caplog.messages
    assert "is untrained" in said


def test_a_text_is_cut_at_the_words_of_its_model() -> None:
    tokenizer, text = tempme.load("scenes-tiny").tokenizer, "a red circle moves left"
    assert unread(tokenizer, text, max_words=7) == ""  # with its start and its end
    assert "is longer than the model reads" in unread(tokenizer, text, max_words=6)
