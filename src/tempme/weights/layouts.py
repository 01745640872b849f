"""Three published layouts of CLIP -> one: the names of OpenAI.

OpenAI and open_clip share names (open_clip's custom-text form puts `text.` before the text
tower); transformers has its own, with q, k, v apart and both projections transposed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tempme.errors import BadWeights
from tempme.weights.clip4clip import is_wrapped, unwrapped

Layout = Literal["openai", "open_clip custom text", "transformers"]

OPENAI_SCALARS = frozenset(("input_resolution", "context_length", "vocab_size"))
_BUFFERS = re.compile(r"(^|\.)(attn_mask|position_ids|num_batches_tracked)$")

# What a foreign file holds -> why it is refused; the first match answers.
_FOREIGN = (
    (r"TVPt_", "a TempMe release: load it by tempme.from_official"),
    (r"^logit_bias$|^vision_model\.head\.", "SigLIP, which has no class token to read"),
    (r"^visual\.(layer1\.|attnpool\.)|^visual\.conv1\.bias$", "a CLIP on a ResNet, not on a ViT"),
    (r"^visual\.(trunk|patch_embed|blocks|cls_token)", "a CLIP on an image encoder of timm"),
    (r"^(patch_embed|blocks|cls_token)", "an image encoder of timm alone, without text"),
    (r"^(embeddings|encoder)\.", "one tower alone, without the projections"),
    (r"^text\.transformer\.(embeddings|encoder)", "a CLIP on a text encoder of transformers"),
)
TRANSFORMERS = (
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.", "visual.conv1."),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.", "visual.ln_pre."),
    ("vision_model.post_layernorm.", "visual.ln_post."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
    ("text_model.embeddings.token_embedding.", "token_embedding."),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.encoder.layers.", "transformer.resblocks."),
    ("text_model.final_layer_norm.", "ln_final."),
)
IN_LAYERS = (
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
TRANSPOSED = {
    "visual_projection.weight": "visual.proj",
    "text_projection.weight": "text_projection",
}
_QUERY = re.compile(r"^(.*)\.self_attn\.q_proj\.(weight|bias)$")


def layout_of(names: Mapping[str, Tensor], origin: object) -> Layout:
    """Which layout the names follow; BadWeights says what the file is instead."""
    for pattern, what in _FOREIGN:
        if any(re.search(pattern, name) for name in names):
            raise BadWeights(f"{origin} is {what}; a CLIP ViT with both towers is needed")
    if any(name.startswith(("vision_model.", "text_model.")) for name in names):
        _refuse_one_tower(names, origin)
        return "transformers"
    if "visual.conv1.weight" not in names:
        raise BadWeights(
            f"{origin} is not a CLIP: none of its {len(names)} tensors is called "
            "visual.conv1.weight or vision_model.embeddings...; "
            f"the first is {min(names, default='none')}"
        )
    return "open_clip custom text" if _has_custom_text(names) else "openai"


def to_openai(tensors: Mapping[str, Tensor], origin: object) -> tuple[dict[str, Tensor], Layout]:
    """The tensors in fp32 under OpenAI's names, and the layout they came in.

    Buffers that are not weights are left out; nothing else is, so a surplus stays visible.
    """
    tensors = without_prefix(tensors, "module.")
    if is_wrapped(tensors):
        tensors = unwrapped(tensors, origin)
    layout = layout_of(tensors, origin)
    kept = {name: value for name, value in tensors.items() if not _is_buffer(name)}
    if layout == "transformers":
        kept = _from_transformers(kept)
    if layout == "open_clip custom text":
        kept = {name.removeprefix("text."): value for name, value in kept.items()}
    state = {name: _plain(value) for name, value in kept.items()}
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(())
    return state, layout


def without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors without a prefix that all of them share (`module.` of parallel training)."""
    if not all(name.startswith(prefix) for name in tensors):
        return dict(tensors)
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _plain(value: Tensor) -> Tensor:
    return value.detach().to("cpu", torch.float32).contiguous()


def _is_buffer(name: str) -> bool:
    return name in OPENAI_SCALARS or _BUFFERS.search(name) is not None


def _has_custom_text(names: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(("text.transformer.", "text.token_embedding.")) for name in names)


def _refuse_one_tower(names: Mapping[str, Tensor], origin: object) -> None:
    for tower, prefix in (("image", "vision_model."), ("text", "text_model.")):
        if not any(name.startswith(prefix) for name in names):
            raise BadWeights(f"{origin} lacks the {tower} tower; export the whole CLIPModel")
    for projection in TRANSPOSED:
        if projection not in names:
            raise BadWeights(f"{origin} lacks {projection}; export the whole CLIPModel")


def _from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, value in tensors.items():
        query = _QUERY.match(name)
        if query:
            state[_openai_name(f"{query[1]}.attn.in_proj_{query[2]}")] = _joined(tensors, query)
        elif name in TRANSPOSED:
            state[TRANSPOSED[name]] = value.T
        elif not re.search(r"\.self_attn\.[kv]_proj\.(weight|bias)$", name):
            state[_openai_name(name)] = value
    return state


def _joined(tensors: Mapping[str, Tensor], query: re.Match[str]) -> Tensor:
    """q, k, v one below the other."""
    names = [f"{query[1]}.self_attn.{part}_proj.{query[2]}" for part in "qkv"]
    absent = [name for name in names if name not in tensors]
    if absent:
        raise BadWeights(f"the weights lack {absent[0]}; download the file again")
    return torch.cat([tensors[name] for name in names])


def _openai_name(name: str) -> str:
    for theirs, openai in TRANSFORMERS:
        if name.startswith(theirs):
            name = openai + name.removeprefix(theirs)
            break
    for theirs, openai in IN_LAYERS:
        name = name.replace(theirs, openai)
    return name
