"""The sizes of a CLIP, told by its tensors, and whether all of them are there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tempme.backbones.config import ClipConfig
from tempme.errors import BadSetting, BadWeights
from tempme.weights.fit import misfit, named

_ENDS = {
    "visual.conv1.weight": 4,
    "visual.positional_embedding": 2,
    "visual.proj": 2,
    "token_embedding.weight": 2,
    "positional_embedding": 2,
    "text_projection": 2,
}
_NOT_IN_SHAPES = ("heads", "text_heads", "mean", "std")
_BLOCK = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.")


def infer_config(
    state: Mapping[str, Tensor], origin: object, *, activation: str, stated: Mapping[str, Any]
) -> ClipConfig:
    """Sizes from shapes; heads are one per 64 of width unless `stated` (a config file) says."""
    lost = [name for name, rank in _ENDS.items() if name not in state or state[name].ndim != rank]
    if lost:
        raise BadWeights(f"{origin} is not a whole CLIP ViT: {named(lost)} missing")
    width, _, patch, _ = state["visual.conv1.weight"].shape
    vocab, text_width = state["token_embedding.weight"].shape
    inferred = {
        "image_size": _grid(state["visual.positional_embedding"], origin) * patch,
        "patch": patch,
        "width": width,
        "layers": _depth(state, "visual.", origin),
        "heads": _heads(width),
        "text_width": text_width,
        "text_layers": _depth(state, None, origin),
        "text_heads": _heads(text_width),
        "embed": state["visual.proj"].shape[1],
        "context": len(state["positional_embedding"]),
        "vocab": vocab,
    }
    _compare(inferred, stated, origin)
    chosen = {name: stated[name] for name in _NOT_IN_SHAPES if name in stated}
    try:
        return ClipConfig(**{**inferred, **chosen, "activation": activation})
    except (BadSetting, ZeroDivisionError) as reason:
        raise BadWeights(f"{origin} has sizes that no CLIP has: {reason}") from reason


def check_complete(state: Mapping[str, Tensor], config: ClipConfig, origin: object) -> None:
    """BadWeights unless the state holds exactly the tensors of `config`, all of them finite."""
    wrong = misfit(expected_shapes(config), state)
    if wrong:
        raise BadWeights(
            f"{origin} is not a whole CLIP: {wrong}; either it is another kind of model, "
            "which is not supported, or it is damaged: download it again"
        )


def expected_shapes(config: ClipConfig) -> dict[str, tuple[int, ...]]:
    """OpenAI name -> shape of every tensor of a CLIP of these sizes."""
    width, text_width = config.width, config.text_width
    shapes: dict[str, tuple[int, ...]] = {
        "visual.class_embedding": (width,),
        "visual.conv1.weight": (width, 3, config.patch, config.patch),
        "visual.positional_embedding": (config.tokens, width),
        "visual.proj": (width, config.embed),
        "token_embedding.weight": (config.vocab, text_width),
        "positional_embedding": (config.context, text_width),
        "text_projection": (text_width, config.embed),
        "logit_scale": (),
    }
    for name, size in (
        ("visual.ln_pre", width),
        ("visual.ln_post", width),
        ("ln_final", text_width),
    ):
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for i in range(config.layers):
        shapes |= _block_shapes(f"visual.transformer.resblocks.{i}.", width)
    for i in range(config.text_layers):
        shapes |= _block_shapes(f"transformer.resblocks.{i}.", text_width)
    return shapes


def resize_positions(positions: Tensor, grid: int) -> Tensor:
    """(1 + g * g, D) -> (1 + grid * grid, D): bicubic over the patches, class token as it is.

    With antialiasing, as open_clip does.
    """
    old = math.isqrt(len(positions) - 1)
    patches = positions[1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    patches = F.interpolate(patches, size=(grid, grid), mode="bicubic", antialias=True)
    return torch.cat([positions[:1], patches.permute(0, 2, 3, 1).flatten(1, 2)[0]])


def _block_shapes(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    shapes = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "mlp.c_fc.weight": (4 * width, width),
        "mlp.c_fc.bias": (4 * width,),
        "mlp.c_proj.weight": (width, 4 * width),
        "mlp.c_proj.bias": (width,),
    }
    shapes |= {
        f"{norm}.{part}": (width,) for norm in ("ln_1", "ln_2") for part in ("weight", "bias")
    }
    return {prefix + name: shape for name, shape in shapes.items()}


def _grid(positions: Tensor, origin: object) -> int:
    patches = len(positions) - 1
    grid = math.isqrt(max(patches, 0))
    if grid * grid != patches or not grid:
        raise BadWeights(f"{origin} has {patches} patch positions, which form no square grid")
    return grid


def _depth(state: Mapping[str, Tensor], tower: str | None, origin: object) -> int:
    """Blocks of one tower, numbered from 0 without a gap."""
    found = (match for name in state if (match := _BLOCK.match(name)))
    numbers = {int(match[2]) for match in found if match[1] == tower}
    gaps = sorted(set(range(max(numbers, default=0) + 1)) - numbers)
    if gaps:
        which = "image" if tower else "text"
        raise BadWeights(f"{origin} lacks block {gaps[0]} of the {which} tower; download it again")
    return len(numbers)


def _heads(width: int) -> int:
    """One head per 64 of width, as every published CLIP ViT up to L has; else a single one."""
    return width // 64 if width % 64 == 0 else 1


def _compare(inferred: Mapping[str, int], stated: Mapping[str, Any], origin: object) -> None:
    """A stated image_size may be larger by less than a patch; nothing else may differ."""
    for name, value in stated.items():
        if name in _NOT_IN_SHAPES:
            continue
        patch = inferred["patch"] if name == "image_size" else 1
        if value // patch != inferred[name] // patch:
            raise BadWeights(
                f"{origin} has {name} {inferred[name]}, but the config beside it says {value}; "
                f"the file is cut off, or the config belongs to other weights"
            )
