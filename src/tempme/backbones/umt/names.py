"""The names of UMT's published weights, and ours: the same numbers, both ways.

Theirs are those of the retrieval model (OpenGVLab/unmasked_teacher 4fb4049, multi_modality), and of
its answer decoder. Ours keep queries, keys and values of a text layer in one projection, keys and
values of a look at the video in another, and the patches' kernel without its depth of 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Theirs <-> ours: heads of names. Longer ones come first.
_HEADS = (
    ("vision_encoder.encoder.patch_embed.proj.", "vision.patch_embedding."),
    ("vision_encoder.encoder.blocks.", "vision.layers."),
    ("vision_encoder.encoder.norm.", "vision.ln_post."),
    ("vision_encoder.pool_norm.", "vision.ln_pool."),
    ("vision_proj.", "vision.projection."),
    ("text_encoder.embeddings.word_embeddings.", "text.words."),
    ("text_encoder.embeddings.position_embeddings.", "text.places."),
    ("text_encoder.embeddings.token_type_embeddings.", "text.kinds."),
    ("text_encoder.embeddings.LayerNorm.", "text.ln_embed."),
    ("text_encoder.encoder.layer.", "text.layers."),
    ("text_proj.", "text.projection."),
    ("text_decoder.bert.embeddings.word_embeddings.", "decoder.words."),
    ("text_decoder.bert.embeddings.position_embeddings.", "decoder.places."),
    ("text_decoder.bert.embeddings.token_type_embeddings.", "decoder.kinds."),
    ("text_decoder.bert.embeddings.LayerNorm.", "decoder.ln_embed."),
    ("text_decoder.bert.encoder.layer.", "decoder.layers."),
    ("text_decoder.cls.predictions.transform.dense.", "decoder.head."),
    ("text_decoder.cls.predictions.transform.LayerNorm.", "decoder.ln_head."),
    ("text_decoder.cls.predictions.bias", "decoder.head_bias"),
    ("itm_head.", "match_head."),
    ("temp", "temperature"),
)
# Inside a layer of videos, and of words; the same name may not stand in both.
_IN_VIDEO = (
    (".attn.q_bias", ".attn.qkv.q_bias"),
    (".attn.v_bias", ".attn.qkv.v_bias"),
    (".attn.proj.", ".attn.out."),
    (".norm1.", ".ln_1."),
    (".norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
_IN_TEXT = (
    (".attention.output.dense.", ".attn.out."),
    (".attention.output.LayerNorm.", ".ln_1."),
    (".crossattention.self.query.", ".look.q."),
    (".crossattention.output.dense.", ".look.out."),
    (".crossattention.output.LayerNorm.", ".look.ln."),
    (".intermediate.dense.", ".mlp.c_fc."),
    (".output.dense.", ".mlp.c_proj."),
    (".output.LayerNorm.", ".ln_2."),
)
# Of theirs, several become one of ours: one below the other.
_JOINED = (
    (".attention.self.", ("query", "key", "value"), ".attn.qkv."),
    (".crossattention.self.", ("key", "value"), ".look.kv."),
)
_PATCHES = "vision.patch_embedding.weight"


def to_ours(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under our names; a name that is not in the table stays as it is."""
    ours: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in theirs.items():
        joined = _part(name)
        if joined is None:
            ours[our_name(name)] = value
        else:
            whole, part = joined
            parts.setdefault(whole, {})[part] = value
    for whole, found in parts.items():
        wanted = _wanted(whole)
        if set(wanted) <= set(found):
            ours[whole] = torch.cat([found[part] for part in wanted])
    if _PATCHES in ours and ours[_PATCHES].ndim == 5:
        ours[_PATCHES] = ours[_PATCHES].squeeze(2)
    return ours


def to_official(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of ours (weights, or gradients of them) under their names."""
    theirs: dict[str, Tensor] = {}
    for name, value in ours.items():
        if name == _PATCHES:
            value = value[:, :, None]
        for between, parts, own in _JOINED:
            if own in name and not name.startswith("vision."):
                whole = _their_name(name)
                pieces = zip(parts, value.chunk(len(parts)), strict=True)
                theirs |= {whole.replace(own, f"{between}{part}."): one for part, one in pieces}
                break
        else:
            theirs[_their_name(name)] = value
    return theirs


def our_name(theirs: str) -> str:
    """The name in ours of one tensor that stays one."""
    name = _replaced_head(theirs, _HEADS)
    for old, new in _IN_VIDEO if name.startswith("vision.layers.") else _IN_TEXT:
        if ".layers." in name and old in name:
            return name.replace(old, new)
    return name


def _their_name(ours: str) -> str:
    inner = _IN_VIDEO if ours.startswith("vision.layers.") else _IN_TEXT
    name = ours
    for old, new in inner:
        if ".layers." in name and new in name:
            name = name.replace(new, old)
            break
    return _replaced_head(name, tuple((new, old) for old, new in _HEADS))


def _replaced_head(name: str, heads: tuple[tuple[str, str], ...]) -> str:
    for old, new in heads:
        if name == old or (old.endswith(".") and name.startswith(old)):
            return new + name.removeprefix(old)
    return name


def _part(theirs: str) -> tuple[str, str] | None:
    """Our name of what a tensor becomes a part of, and which part it is."""
    for between, parts, own in _JOINED:
        found = re.search(rf"{re.escape(between)}({'|'.join(parts)})\.", theirs)
        if found:
            return our_name(theirs.replace(found[0], own)), found[1]
    return None


def _wanted(whole: str) -> tuple[str, ...]:
    return next(parts for _, parts, own in _JOINED if own in whole)
