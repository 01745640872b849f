"""Where every row of the table is from, how sure it is, and how its authors train it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a row.

    standing: "reproduced" rows compute what their official code computes, to the last digits, on
        the same weights (tests/golden); "reconstructed" ones are built from a paper's words and
        numbers. code: the official code, and what of the row is not in it.
    recipe: fields of `training.Recipe` as the authors have them, where they differ from ours.
    beyond: what of their training those fields cannot say.
    """

    standing: Literal["reproduced", "reconstructed"]
    code: str
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    beyond: str = ""


_TEMPME = "LunarShen/TempMe e624930"
_CLIP4CLIP = Source(
    "reproduced",
    "ArrowLuo/CLIP4Clip 508ffa3",
    {"learning_rate": 1e-7, "betas": (0.9, 0.98), "decay_vectors": False},
    "BertAdam, no decay of biases, each tensor cut at norm 1, weights in half precision "
    "(in single precision the same rate learns less: search 1e-7 to 5e-6)",
)
_DGL = {"learning_rate": 2e-3, "betas": (0.9, 0.98), "decay_vectors": False, "batch": 512}
_VOP = Source(
    "reconstructed",
    "none of VoP's own (bighuang624/VoP is a README)",
    {"batch": 32},
    "learning rate searched from 1e-6 to 1e-2",
)

SOURCES: dict[str, Source] = {
    "clip4clip": _CLIP4CLIP,
    "prompt": Source("reconstructed", "none; parameters and costs of TempMe's tables 2 and 4"),
    "adapter": Source("reconstructed", "none; parameters and costs of TempMe's tables 2 and 4"),
    "lora": Source("reproduced", _TEMPME),
    "plevu": Source(
        "reconstructed",
        "ju-chen/Efficient-Prompt 1f69a18: the model, reproduced; retrieval itself is not there",
        {"learning_rate": 1e-4, "weight_decay": 0.01, "warmup": 0.0, "batch": 64},
        "a constant rate, and a loss from videos to texts alone, of action recognition",
    ),
    "vop": Source(
        "reproduced",
        "modelscope 2905da12: images, and texts with all prompts ahead (its suffix misreads texts)",
        _VOP.recipe,
        _VOP.beyond,
    ),
    "vop-p": _VOP,
    "vop-c": _VOP,
    "vop-f": _VOP,
    "vop-fp": _VOP,
    "vop-fc": _VOP,
    "dgl": Source(
        "reproduced",
        "knightyxp/DGL 9139fd1",
        _DGL | {"learning_rate": 1e-2},
        "the rate of LSMDC's script; that of MSR-VTT with this variant is not known",
    ),
    "dgl-transformer": Source("reproduced", "knightyxp/DGL 9139fd1", _DGL, "half precision"),
    "mv-adapter": Source(
        "reproduced",
        "zhangbw17/MV-Adapter 08a61f3",
        {"learning_rate": 5e-6, "betas": (0.9, 0.98), "decay_vectors": False},
        "BertAdam, 1e-7 for CLIP's biases, weights in half precision (in single precision search "
        "1e-4 to 1e-3)",
    ),
    "rap": Source("reconstructed", "none to be had; shapes are guesses, see tuning/rap.py"),
    "tome": Source("reproduced", _TEMPME),
    "evit": Source("reproduced", "youweiliang/evit, on TempMe's LoRA"),
    "diffrate": Source(
        "reproduced", "OpenGVLab/DiffRate, on TempMe's LoRA; rates of ViT-B/32 are our own"
    ),
    "sta": Source("reconstructed", "its authors' rule, on TempMe's LoRA; budget of table 2"),
    "testa": Source("reconstructed", "RenShuhuai-Andy/TESTA's merging, on CLIP; budget matched"),
    "tempme": Source("reproduced", _TEMPME),
    "prompt-tempme": Source("reconstructed", f"{_TEMPME} for the compression alone"),
    "adapter-tempme": Source("reconstructed", f"{_TEMPME} for the compression alone"),
    "tempme-full": Source("reproduced", _TEMPME, _CLIP4CLIP.recipe, _CLIP4CLIP.beyond),
    "tome-full": Source("reproduced", _TEMPME, _CLIP4CLIP.recipe, _CLIP4CLIP.beyond),
    "imgme-only": Source("reproduced", _TEMPME),
    "temporal-modelling": Source("reproduced", _TEMPME),
}
# Second settings: the same code, trained and read as its authors do.
SOURCES |= {
    f"{name}-original": SOURCES[name] for name in ("plevu", "vop", "dgl-transformer", "mv-adapter")
}
