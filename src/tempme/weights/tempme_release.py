"""State dicts of the official TempMe release: what is CLIP, what is LoRA, what is position.

Names as in https://github.com/LunarShen/TempMe: the CLIP under `clip.`, and in its blocks
`attn.TVPt_LoRA_a` (r, D), `attn.TVPt_LoRA_b` (3 D, r; rows q, k, v) and
`TVPt_Video_Positional_embedding` (1, clips before the join, 1, D).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from tempme.errors import BadWeights
from tempme.weights.clip4clip import is_wrapped
from tempme.weights.files import read_contents, tensors_of
from tempme.weights.layouts import without_prefix

Tower = Literal["visual", "text"]
_LEARNT = re.compile(
    r"^(visual\.)?transformer\.resblocks\.(\d+)\."
    r"(attn\.TVPt_LoRA_([ab])|TVPt_Video_Positional_embedding)$"
)


@dataclass(frozen=True)
class OfficialParts:
    """One official state dict, taken apart.

    `state` has OpenAI's names, for `read_weights`; it is empty where only what learnt was
    saved. `lora` maps (tower, block) to (A (r, D), B (3 D, r)), `positions` a block to
    (clips, 1, D), both in fp32.
    """

    state: dict[str, Tensor]
    lora: dict[tuple[Tower, int], tuple[Tensor, Tensor]]
    positions: dict[int, Tensor]


def is_official(names: Mapping[str, object]) -> bool:
    """Whether a state dict bears the official release's names; `clip.` alone is CLIP4Clip's."""
    return any("TVPt_" in name for name in names)


def split_official(source: str | Path | Mapping[str, object]) -> OfficialParts:
    """Take a file or state dict of the official release apart.

    Plain OpenAI names are taken too, with nothing learnt. BadWeights names what is half there.
    """
    origin = "the given state dict" if isinstance(source, Mapping) else str(source)
    if isinstance(source, Mapping):
        tensors = tensors_of(source, origin)
    else:
        tensors = read_contents(Path(source)).tensors
    tensors = without_prefix(tensors, "module.")
    if is_wrapped(tensors):
        raise BadWeights(
            f"{origin} holds a CLIP under `clip.`, but nothing of TempMe, as checkpoints of "
            f"CLIP4Clip do: load it by tempme.load"
        )
    tensors = without_prefix(tensors, "clip.")
    learnt = {name: match for name in tensors if (match := _LEARNT.match(name))}
    foreign = [name for name in tensors if "TVPt_" in name and name not in learnt]
    if foreign:
        raise BadWeights(f"{origin} holds {foreign[0]}, which no official TempMe model has")
    state = {name: value for name, value in tensors.items() if name not in learnt}
    plain = {name: tensors[name].detach().to("cpu").float() for name in learnt}
    return OfficialParts(state, _lora(plain, learnt, origin), _positions(plain, learnt, origin))


def _lora(
    tensors: Mapping[str, Tensor], learnt: Mapping[str, re.Match[str]], origin: str
) -> dict[tuple[Tower, int], tuple[Tensor, Tensor]]:
    halves: dict[tuple[Tower, int], dict[str, Tensor]] = {}
    for name, match in learnt.items():
        if match[4]:
            key: tuple[Tower, int] = ("visual" if match[1] else "text", int(match[2]))
            halves.setdefault(key, {})[match[4]] = tensors[name]
    for (tower, block), pair in halves.items():
        where = f"{origin}: LoRA of {tower} block {block}"
        if len(pair) < 2:
            raise BadWeights(f"{where} has only {'AB'['b' in pair]}; both A and B are needed")
        rank, width = pair["a"].shape
        if pair["b"].shape != (3 * width, rank):
            raise BadWeights(f"{where} has A {tuple(pair['a'].shape)}, B {tuple(pair['b'].shape)}")
    return {key: (halves[key]["a"], halves[key]["b"]) for key in sorted(halves)}


def _positions(
    tensors: Mapping[str, Tensor], learnt: Mapping[str, re.Match[str]], origin: str
) -> dict[int, Tensor]:
    positions = {int(m[2]): tensors[name] for name, m in learnt.items() if not m[4]}
    for block, value in positions.items():
        if value.ndim != 4 or (value.shape[0], value.shape[2]) != (1, 1):
            raise BadWeights(f"{origin}: positions of block {block} are {tuple(value.shape)}")
    return {block: positions[block][0] for block in sorted(positions)}
