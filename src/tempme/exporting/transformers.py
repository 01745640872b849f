"""A folder of transformers: `CLIPModel.from_pretrained` and `CLIPProcessor` read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tempme.atomic import replacing
from tempme.backbones.bytepair import END, START, VOCAB, merges, piece_ids
from tempme.backbones.config import ClipConfig
from tempme.exporting.files import OF_PYTORCH, save_json
from tempme.exporting.merged import clip_of, merged
from tempme.retriever.parts import Parts
from tempme.weights.layouts import IN_LAYERS, TRANSFORMERS, TRANSPOSED
from tempme.weights.saving import save_tensors

WEIGHTS = "model.safetensors"
FORM = "transformers"
_QKV = re.compile(r"^(.*)\.attn\.in_proj_(weight|bias)$")


def write_transformers(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Write the folder; the names of its files."""
    config = clip_of(parts, FORM).config
    state = to_transformers(merged(parts, FORM))
    documents = {
        "config.json": model_settings(config),
        "preprocessor_config.json": _pixels(config),
        "tokenizer_config.json": _words(config),
        "vocab.json": piece_ids(),
    }
    with replacing(folder / WEIGHTS) as draft:
        save_tensors(state, draft, metadata=OF_PYTORCH)
    for name, document in documents.items():
        save_json(document, folder / name)
    with replacing(folder / "merges.txt") as draft:
        draft.write_text("\n".join(["#version: 0.2", *map(" ".join, merges())]) + "\n", "utf-8")
    return (WEIGHTS, *documents, "merges.txt")


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under OpenAI's names -> under those of CLIPModel."""
    return {name: value.contiguous() for each in state.items() for name, value in _renamed(*each)}


def model_settings(config: ClipConfig) -> dict[str, Any]:
    """The `config.json` of a CLIPModel of these sizes."""
    shared = {"hidden_act": config.activation, "layer_norm_eps": 1e-5}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "dtype": "float32",
        "projection_dim": config.embed,
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": config.vocab,
            "hidden_size": config.text_width,
            "intermediate_size": 4 * config.text_width,
            "num_hidden_layers": config.text_layers,
            "num_attention_heads": config.text_heads,
            "max_position_embeddings": config.context,
            "bos_token_id": VOCAB - 2,
            "eos_token_id": VOCAB - 1,
            "projection_dim": config.embed,
            **shared,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": config.width,
            "intermediate_size": 4 * config.width,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "image_size": config.image_size,
            "patch_size": config.patch,
            "projection_dim": config.embed,
            **shared,
        },
    }


def _renamed(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    projections = {ours: theirs for theirs, ours in TRANSPOSED.items()}
    if name in projections:
        yield projections[name], value.T
        return
    parts = _QKV.match(name)
    if parts:
        for letter, part in zip("qkv", value.chunk(3), strict=True):
            yield _their_name(f"{parts[1]}.self_attn.{letter}_proj.{parts[2]}"), part
        return
    yield _their_name(name), value


def _their_name(name: str) -> str:
    for theirs, openai in TRANSFORMERS:
        if name.startswith(openai):
            name = theirs + name.removeprefix(openai)
            break
    for theirs, openai in IN_LAYERS:
        name = name.replace(openai, theirs)
    return name


def _pixels(config: ClipConfig) -> dict[str, Any]:
    side = config.image_size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(config.mean),
        "image_std": list(config.std),
    }


def _words(config: ClipConfig) -> dict[str, Any]:
    return {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": config.context,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "errors": "replace",
        "do_lower_case": True,
    }
