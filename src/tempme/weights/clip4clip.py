"""Checkpoints of CLIP4Clip: OpenAI's CLIP under `clip.`, and beside it what relates frames.

Names as in https://github.com/ArrowLuo/CLIP4Clip: `meanP` has nothing beside the CLIP, and is what
`clip4clip` computes here; `seqTransf` has a transformer over frames, as `clip4clip-seqtransf`. The
other heads are refused by their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from tempme.errors import BadWeights

PREFIX = "clip."
SEQUENCE_ROW = "clip4clip-seqtransf"  # the system that such a head belongs to
_POSITIONS = re.compile(r"^frame_position_embeddings\.")
_SEQUENCE = re.compile(r"^(transformerClip|frame_position_embeddings)\.")
_BLOCK = re.compile(r"^transformerClip\.resblocks\.(\d+)\.(.+)$")
_IN_BLOCKS = (("attn.in_proj_", "attn.qkv."), ("attn.out_proj.", "attn.out."))
# The most telling first: two heads have frame positions.
_HEADS = {
    "seqLSTM": r"^lstm_visual\.",
    "tightTransf": r"^(cross|similarity_dense)\.",
    "seqLSTM without its LSTM, or seqTransf without its transformer": _POSITIONS.pattern,
}


def is_wrapped(names: Mapping[str, object]) -> bool:
    """Whether names are of a CLIP under `clip.`, and not of a TempMe release."""
    return any(_plain(name).startswith(PREFIX) for name in names) and not any(
        "TVPt_" in name for name in names
    )


def unwrapped(tensors: Mapping[str, Tensor], origin: object) -> dict[str, Tensor]:
    """The CLIP of a checkpoint; BadWeights where there is something beside it that is not known."""
    others = sorted(name for name in tensors if not name.startswith(PREFIX))
    if any(name.startswith("transformerClip.") for name in others):
        others = [name for name in others if not _SEQUENCE.match(name)]
    for head, pattern in _HEADS.items():
        if any(re.search(pattern, name) for name in others):
            raise BadWeights(
                f"{origin} is a CLIP4Clip with the head {head}, which is not supported: meanP and "
                f"seqTransf are"
            )
    if others:
        raise BadWeights(
            f"{origin} holds a CLIP under `clip.`, and {others[0]} beside it: of a model that is "
            f"not supported"
        )
    if f"{PREFIX}visual.conv2.weight" in tensors:
        raise BadWeights(
            f"{origin} is a CLIP4Clip with 3d patches (linear_patch 3d), which is not supported"
        )
    return {
        name.removeprefix(PREFIX): value
        for name, value in tensors.items()
        if name.startswith(PREFIX)
    }


def sequence_head(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The transformer over frames of a checkpoint under our names, in fp32; empty without one."""
    plain = {_plain(name): value for name, value in tensors.items()}
    if not any(name.startswith("transformerClip.") for name in plain):
        return {}
    found = {}
    for name, value in plain.items():
        if block := _BLOCK.match(name):
            found[f"blocks.{block[1]}.{_in_block(block[2])}"] = value
        elif _POSITIONS.match(name):
            found["position"] = value
    return {name: value.detach().to("cpu", torch.float32) for name, value in found.items()}


def _in_block(name: str) -> str:
    for theirs, ours in _IN_BLOCKS:
        name = name.replace(theirs, ours)
    return name


def _plain(name: str) -> str:
    return name.removeprefix("module.")
