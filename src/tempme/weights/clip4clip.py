"""Checkpoints of CLIP4Clip: OpenAI's CLIP under `clip.`, and beside it what relates frames.

Names as in https://github.com/ArrowLuo/CLIP4Clip: `meanP` has nothing beside the CLIP, and is what
`clip4clip` computes here; the other heads are refused by their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from tempme.errors import BadWeights

PREFIX = "clip."
# The most telling first: two heads have frame positions.
_HEADS = {
    "seqTransf": r"^transformerClip\.",
    "seqLSTM": r"^lstm_visual\.",
    "tightTransf": r"^(cross|similarity_dense)\.",
    "seqTransf or seqLSTM": r"^frame_position_embeddings\.",
}


def is_wrapped(names: Mapping[str, object]) -> bool:
    """Whether names are of a CLIP under `clip.`, and not of a TempMe release."""
    return any(_plain(name).startswith(PREFIX) for name in names) and not any(
        "TVPt_" in name for name in names
    )


def unwrapped(tensors: Mapping[str, Tensor], origin: object) -> dict[str, Tensor]:
    """The CLIP of a checkpoint with mean pooling; BadWeights says what any other one is."""
    others = sorted(name for name in tensors if not name.startswith(PREFIX))
    for head, pattern in _HEADS.items():
        if any(re.search(pattern, name) for name in others):
            raise BadWeights(
                f"{origin} is a CLIP4Clip with the head {head}, which is not supported: meanP is"
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
    return {name.removeprefix(PREFIX): value for name, value in tensors.items()}


def _plain(name: str) -> str:
    return name.removeprefix("module.")
