"""Exported plain CLIPs give the features of the model they are of, here and in transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

import tempme
from clip_states import random_state
from tempme.backbones.config import ClipConfig
from tempme.backbones.tokenizer import Tokenizer
from tempme.errors import BadSetting, UnknownName
from tempme.exporting.formats import FORMATS, export
from tempme.exporting.transformers import to_transformers
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.systems.table import SYSTEMS, UMT, system
from tempme.video.transforms import square_of_image
from tempme.weights.layouts import to_openai
from tempme.weights.sizes import expected_shapes
from tiny_umt import tiny_umt

TEMPME = str(Path(sys.executable).with_name("tempme"))
SLIM = ClipConfig(
    image_size=64,
    patch=16,
    width=128,
    layers=12,
    heads=2,
    text_width=64,
    text_layers=2,
    text_heads=1,
    embed=32,
    context=40,
)
FOLDED = {
    "clip4clip",
    "lora",
    "tome",
    "evit",
    "diffrate",
    "sta",
    "testa",
    "pitome",
    "imgme-only",
    "scratch",
    "temporal-modelling",
    "tome-full",
    "token-reduction",
    "evs",
    "rlt-share",
    "rlt-size",
    "earlytom",
}
TEXTS = ["a dog jumps over a log", "Two people TALK!", "café naïve 123", "x " * 60]


def untouched(row: System) -> Retriever:
    """A system on the backbone that the seed makes."""
    return Retriever.build(row, None, tokenizer=Tokenizer(context=row.config.context), seed=0)


def trained(name: str, config: ClipConfig = SLIM) -> Retriever:
    """A system of which everything that may learn has moved."""
    retriever = untouched(system(name, backbone=config, frames=4))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in retriever.backbone.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return retriever


def pixels(config: ClipConfig = SLIM) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(
        rng.integers(0, 255, (3, 4, config.image_size, config.image_size, 3), dtype=np.uint8)
    )


@torch.no_grad()
def both(retriever: Retriever) -> tuple[torch.Tensor, torch.Tensor]:
    videos = retriever.encode_videos(retriever.transform(pixels(retriever.system.config)))
    return videos, retriever.encode_texts(TEXTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip4clip", "lora", "tome", "evit"])
@pytest.mark.parametrize("form", ["openai", "transformers"])
def test_weights_read_back_give_the_same_features(tmp_path: Path, form: str, name: str) -> None:
    retriever = trained(name)
    files = export(retriever.parts, form, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(files)
    read = tempme.load(tmp_path / "out", system_name="clip4clip")
    assert read.backbone.config == SLIM
    row = replace(retriever.system, tuning=SYSTEMS["clip4clip"].tuning)
    again = Retriever.build(row, tmp_path / "out", seed=0)
    for ours, theirs in zip(both(retriever), both(again), strict=True):
        assert (ours - theirs).abs().max() < 2e-6
    before = both(untouched(row))
    assert (both(retriever)[0] - before[0]).abs().max() > 1e-3  # something had learnt


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
@torch.no_grad()
def test_transformers_reads_the_folder(tmp_path: Path, activation: str) -> None:
    retriever = trained("lora", replace(SLIM, activation=activation, heads=4))
    export(retriever.parts, "transformers", tmp_path)
    model = CLIPModel.from_pretrained(tmp_path, local_files_only=True).eval()
    assert model.config.vision_config.hidden_act == activation
    ids = retriever.tokenizer(TEXTS, max_words=32)[0]
    theirs = model.text_projection(model.text_model(ids).pooler_output)
    ours = retriever.backbone.encode_texts(ids)
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=1e-5)
    frames = retriever.transform(pixels())[:, 0]
    theirs = model.visual_projection(model.vision_model(frames).pooler_output)
    torch.testing.assert_close(
        retriever.backbone.encode_images(frames), theirs, atol=2e-6, rtol=1e-5
    )
    words = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in TEXTS:
        own = retriever.tokenizer([text], max_words=32)
        own_ids = own[0][0][: int(own[1].sum())].tolist()
        assert words(text, truncation=True, max_length=32)["input_ids"] == own_ids
    processor = CLIPImageProcessor.from_pretrained(tmp_path, local_files_only=True)
    given = processor(pixels()[0, 0].numpy(), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(given[0], frames[0], atol=1e-5, rtol=0)


def test_names_go_there_and_back() -> None:
    state = random_state(SLIM)
    back, layout = to_openai(to_transformers(state), "here")
    assert layout == "transformers"
    assert back.keys() == state.keys() == expected_shapes(SLIM).keys()
    assert all(torch.equal(value, state[name]) for name, value in back.items())


def test_an_export_leaves_its_model_alone(tmp_path: Path) -> None:
    retriever = trained("lora")
    before = {name: value.clone() for name, value in retriever.state_dict().items()}
    export(retriever.parts, "openai", tmp_path)
    after = retriever.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert load_file(tmp_path / "model.safetensors")["vocab_size"] == SLIM.vocab


@pytest.mark.one_in(10)
@pytest.mark.parametrize("name", [name for name in sorted(SYSTEMS) if name not in UMT])
def test_what_does_not_fold_is_refused_by_its_reason(tmp_path: Path, name: str) -> None:
    """Every row: its features come back, or it says what would be lost."""
    retriever = trained(name)
    if name not in FOLDED:
        with pytest.raises(BadSetting, match=r"is no plain CLIP: .* would lose it"):
            export(retriever.parts, "transformers", tmp_path / "out")
        assert not (tmp_path / "out").exists()
        return
    export(retriever.parts, "transformers", tmp_path / "out")
    plain = replace(retriever.system, tuning=SYSTEMS["clip4clip"].tuning)
    again = Retriever.build(plain, tmp_path / "out", seed=0)
    for ours, theirs in zip(both(retriever), both(again), strict=True):
        assert (ours - theirs).abs().max() < 2e-6


@pytest.mark.parametrize("form", ["openai", "transformers"])
def test_a_umt_is_no_clip(tmp_path: Path, form: str) -> None:
    with pytest.raises(BadSetting, match="is no plain CLIP: its backbone is a UMT"):
        export(tiny_umt("umt4clip").parts, form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_layout_cannot_say(tmp_path: Path) -> None:
    tiny = Retriever.load("scenes-tiny").parts
    for form in ("openai", "transformers"):
        with pytest.raises(BadSetting, match=rf"of CLIP's 49,408 word pieces, and the {form}"):
            export(tiny, form, tmp_path / "out")
    gelu = trained("lora", replace(SLIM, activation="gelu")).parts
    with pytest.raises(BadSetting, match="means activation quick_gelu, and this model has gelu"):
        export(gelu, "openai", tmp_path / "out")
    heads = trained("lora", replace(SLIM, heads=4)).parts
    with pytest.raises(BadSetting, match="means heads 2, and this model has 4: use --format"):
        export(heads, "openai", tmp_path / "out")
    with pytest.raises(UnknownName, match="no format 'tflite'"):
        export(gelu, "tflite", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(BadSetting, match="is not empty: give another folder"):
        export(gelu, "transformers", tmp_path / "full")
    with pytest.raises(BadSetting, match=r"mine\.txt is a file; --out is a folder"):
        export(gelu, "transformers", tmp_path / "full" / "mine.txt")
    assert not (tmp_path / "out").exists()


def test_pixels_are_those_of_transformers(tmp_path: Path) -> None:
    """The processor of the folder cuts wide pictures as we do."""
    export(trained("lora").parts, "transformers", tmp_path)
    processor = CLIPImageProcessor.from_pretrained(tmp_path, local_files_only=True)
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (9, 14, 3), dtype=np.uint8)).resize((144, 96))
    theirs = processor(picture, return_tensors="pt")["pixel_values"][0]
    ours = trained("lora").transform(square_of_image(picture, 64).copy()[None])[0]
    assert (theirs - ours).abs().mean() < 0.05


@pytest.mark.slow
def test_the_verb(tmp_path: Path) -> None:
    trained("lora").save(tmp_path / "model")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TEMPME, "export", *words], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    done = run("model", "--format", "openai", "--out", "plain", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "format": "openai",
        "folder": "plain",
        "files": ["model.safetensors"],
        "system": "lora",
    }
    wrong = run("model", "--format", "tflite", "--out", "other")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(f"error: no format 'tflite'; known: {', '.join(FORMATS)}")
