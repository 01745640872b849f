"""What the config files beside published weights state, in our names.

`config.json` of transformers and `open_clip_config.json`. A setting that this model cannot
follow (another activation, pooling, epsilon) is refused rather than passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tempme.errors import BadWeights
from tempme.weights.files import read_json
from tempme.weights.layouts import Layout


@dataclass(frozen=True)
class Statement:
    """Sizes (fields of ClipConfig) and the activation that a file states; both may lack."""

    sizes: Mapping[str, Any] = field(default_factory=dict)
    activation: str | None = None
    source: str = ""


def statement_beside(weights: Path, layout: Layout) -> Statement:
    """The statement that belongs to a file of weights; empty where there is none."""
    if layout == "transformers":
        return _of_transformers(weights.with_name("config.json"))
    # A weights file of any other name may have come into the folder of another model.
    if weights.name.startswith("open_clip_"):
        return _of_open_clip(weights.with_name("open_clip_config.json"))
    return Statement()


def _of_transformers(path: Path) -> Statement:
    if not path.is_file():
        return Statement()
    config = read_json(path)
    _refuse_unless(path, config, "model_type", ("clip", None))
    vision, text = _part(config, "vision_config"), _part(config, "text_config")
    _refuse_unless(path, text, "model_type", ("clip_text_model", None))
    for tower in (vision, text):
        _refuse_unless(path, tower, "layer_norm_eps", (1e-5,))
    # The text feature is read at the largest id; 2 is how old files say the same.
    _refuse_unless(path, text, "eos_token_id", (2, text.get("vocab_size", 49408) - 1))
    sizes = _known(
        path,
        image_size=vision.get("image_size"),
        patch=vision.get("patch_size"),
        width=vision.get("hidden_size"),
        layers=vision.get("num_hidden_layers"),
        heads=vision.get("num_attention_heads"),
        text_width=text.get("hidden_size"),
        text_layers=text.get("num_hidden_layers"),
        text_heads=text.get("num_attention_heads"),
        embed=config.get("projection_dim"),
        context=text.get("max_position_embeddings"),
        vocab=text.get("vocab_size"),
    )
    # transformers leaves its defaults out of old files: CLIPConfig's hidden_act is quick_gelu.
    activations = {tower.get("hidden_act", "quick_gelu") for tower in (vision, text)}
    if len(activations) > 1 or not activations <= {"quick_gelu", "gelu"}:
        given = ", ".join(sorted(map(str, activations)))
        raise BadWeights(f"{path}: hidden_act is {given}; one of quick_gelu, gelu is supported")
    return Statement(sizes | _pixels(path), activations.pop(), path.name)


def _of_open_clip(path: Path) -> Statement:
    if not path.is_file():
        return Statement()
    config = read_json(path)
    model = _part(config, "model_cfg")
    vision, text = _part(model, "vision_cfg"), _part(model, "text_cfg")
    _refuse_unless(path, vision, "pool_type", ("tok",))
    _refuse_unless(path, text, "pool_type", ("argmax",))
    for setting in ("hf_tokenizer_name", "tokenizer_kwargs", "tokenizer_mode"):
        _refuse_unless(path, text, setting, (None, {}, ""))
    _refuse_unless(path, text, "embed_cls", (False, None))
    _refuse_unless(path, model, "multimodal_cfg", (None, {}))
    for tower in (vision, text):
        for setting in ("act_kwargs", "norm_kwargs", "timm_model_name", "hf_model_name"):
            _refuse_unless(path, tower, setting, (None, {}, ""))
        for setting in ("no_causal_mask", "no_ln_pre", "final_ln_after_pool", "attentional_pool"):
            _refuse_unless(path, tower, setting, (False, None))
    head_width = vision.get("head_width", 64)
    width = vision.get("width")
    sizes = _known(
        path,
        image_size=vision.get("image_size"),
        patch=vision.get("patch_size"),
        width=width,
        layers=vision.get("layers"),
        heads=width // head_width if isinstance(width, int) and width >= head_width else None,
        text_width=text.get("width"),
        text_layers=text.get("layers"),
        text_heads=text.get("heads"),
        embed=model.get("embed_dim"),
        context=text.get("context_length"),
        vocab=text.get("vocab_size"),
    )
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    return Statement(sizes | _normalisation(_part(config, "preprocess_cfg")), activation, path.name)


def _pixels(config: Path) -> dict[str, Any]:
    """Mean and deviation of pixels, which transformers keeps in a file of its own."""
    path = config.with_name("preprocessor_config.json")
    if not path.is_file():
        return {}
    content = read_json(path)
    return _normalisation({"mean": content.get("image_mean"), "std": content.get("image_std")})


def _normalisation(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(given[name]) for name in ("mean", "std") if given.get(name)}


def _known(path: Path, **sizes: Any) -> dict[str, Any]:
    """The sizes that are stated; an image size may be given as (height, width)."""
    known = {name: value for name, value in sizes.items() if value is not None}
    if isinstance(known.get("image_size"), list):
        known["image_size"] = known["image_size"][0]
    wrong = [name for name, value in known.items() if not isinstance(value, int) or value < 1]
    if wrong:
        raise BadWeights(f"{path}: {wrong[0]} is {known[wrong[0]]!r}, not a positive number")
    return known


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, Mapping) else {}


def _refuse_unless(
    path: Path, config: Mapping[str, Any], setting: str, supported: tuple[Any, ...]
) -> None:
    if config.get(setting, supported[0]) not in supported:
        raise BadWeights(f"{path}: {setting} is {config[setting]!r}, which is not supported")
