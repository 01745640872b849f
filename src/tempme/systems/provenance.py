"""Where every row of the table is from, how sure it is, and how its authors train it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a row.

    standing: "reproduced" rows compute what their official code computes, to the last digits, on
        the same weights (tests/golden); "reconstructed" ones are built from a paper's words and
        numbers; "adapted" ones follow a rule of others at a place of ours; "ours" is what no paper
        has. code: the official code, and what of the row is not in it.
    differs: what this program does otherwise, or what had to be guessed.
    recipe: fields of `training.Recipe` as the authors have them, where they differ from ours.
    beyond: what of their training those fields cannot say.
    """

    standing: Literal["reproduced", "reconstructed", "adapted", "ours"]
    code: str
    differs: str
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    beyond: str = ""


_TEMPME = "LunarShen/TempMe e624930"
_NO_CODE = "none; parameters and costs of TempMe's tables 2 and 4"
_MATCHING = "matches in fp32; among equals the first token wins"
_CLIP4CLIP = Provenance(
    "reproduced",
    "ArrowLuo/CLIP4Clip 508ffa3",
    "weights in single precision, correct gradients through gathered features",
    {"learning_rate": 1e-7, "betas": (0.9, 0.98), "decay_vectors": False},
    "BertAdam, no decay of biases, each tensor cut at norm 1, weights in half precision "
    "(in single precision the same rate learns less: search 1e-7 to 5e-6)",
)
_DGL = {"learning_rate": 2e-3, "betas": (0.9, 0.98), "decay_vectors": False, "batch": 512}
_VOP = Provenance(
    "reconstructed",
    "none of VoP's own (bighuang624/VoP is a README)",
    "all but counts and words of the paper: frame positions start at 0, the video is the mean",
    {"batch": 32},
    "learning rate searched from 1e-6 to 1e-2",
)


def _full(compression: str) -> Provenance:
    return Provenance("reproduced", _TEMPME, compression, _CLIP4CLIP.recipe, _CLIP4CLIP.beyond)


_UMT_CODE = "OpenGVLab/unmasked_teacher 4fb4049, multi_modality"
_UMT = {
    "learning_rate": 1e-5,
    "weight_decay": 0.02,
    "decay_vectors": False,
    "batch": 256,
    "epochs": 10,
    "warmup": 0.1,
}
_UMT_BEYOND = (
    "the cosine ends at 1 % and starts there; fp16; the temperature does decay; crops and flips; "
    "matching loss with hard negatives beside the contrastive one"
)
_UMT4CLIP = Provenance(
    "reconstructed",
    f"{_UMT_CODE}, frame by frame",
    "patches keep their places in the whole video; the paper does not say",
    _UMT,
    _UMT_BEYOND,
)

SOURCES: dict[str, Provenance] = {
    "clip4clip": _CLIP4CLIP,
    "prompt": Provenance(
        "reconstructed", _NO_CODE, "5 prompts a block, the one number that fits; where they stand"
    ),
    "adapter": Provenance(
        "reconstructed",
        _NO_CODE,
        "one bottleneck of 8 a block, which fits; beside the MLP, without scale: a choice",
    ),
    "lora": Provenance("reproduced", _TEMPME, "nothing; folded for inference"),
    "plevu": Provenance(
        "reconstructed",
        "ju-chen/Efficient-Prompt 1f69a18: the model, reproduced; retrieval itself is not there",
        "a symmetric loss of pairs and even frames; 12 frames, unit features",
        {"learning_rate": 1e-4, "weight_decay": 0.01, "warmup": 0.0, "batch": 64},
        "a constant rate, and a loss from videos to texts alone, of action recognition",
    ),
    "vop": Provenance(
        "reproduced",
        "modelscope 2905da12: images, and texts with all prompts ahead",
        "the code's prompts behind the words make it read the wrong row; texts are the paper's",
        _VOP.recipe,
        _VOP.beyond,
    ),
    "vop-p": _VOP,
    "vop-c": _VOP,
    "vop-f": _VOP,
    "vop-fp": _VOP,
    "vop-fc": _VOP,
    "dgl": Provenance(
        "reproduced",
        "knightyxp/DGL 9139fd1",
        "no loop over frames; keys of the video are made once, prompts once a model",
        _DGL | {"learning_rate": 1e-2},
        "the rate of LSMDC's script; that of MSR-VTT with this variant is not known",
    ),
    "dgl-transformer": Provenance(
        "reproduced",
        "knightyxp/DGL 9139fd1",
        "as dgl; prompts behind the end of a text, which nothing sees, are not made",
        _DGL,
        "half precision",
    ),
    "mv-adapter": Provenance(
        "reproduced",
        "zhangbw17/MV-Adapter 08a61f3",
        "factors rescale what comes in, as in the paper; weights in single precision",
        {"learning_rate": 5e-6, "betas": (0.9, 0.98), "decay_vectors": False},
        "BertAdam, 1e-7 for CLIP's biases, weights in half precision (in single precision search "
        "1e-4 to 1e-3)",
    ),
    "rap": Provenance(
        "reconstructed",
        "none to be had",
        "shapes, rank and places are guesses; patches are chosen by the class token, not by a text",
    ),
    "tome": Provenance("reproduced", _TEMPME, _MATCHING),
    "evit": Provenance(
        "reproduced",
        "youweiliang/evit 5ca95a7, on TempMe's LoRA",
        "the share kept is constant in training; among equals the first token wins",
    ),
    "diffrate": Provenance(
        "reproduced",
        "OpenGVLab/DiffRate 91ae3e3, on TempMe's LoRA; released rates for ViT-B/16",
        "ViT-B/32 has no released rates: ours meet the paper's cost, or are learnt anew; sizes "
        "stay above 0",
    ),
    "sta": Provenance(
        "reconstructed",
        "its authors' rule (faf10be), on TempMe's LoRA",
        "a frame is a group, class tokens stay; blocks and numbers are ours, to the paper's cost",
    ),
    "testa": Provenance(
        "reconstructed",
        "RenShuhuai-Andy/TESTA 41b9486: its merging, on CLIP with TempMe's LoRA",
        "both merges in one block; the paper prints no row: the cost is matched",
    ),
    "tempme": Provenance("reproduced", _TEMPME, _MATCHING),
    "prompt-tempme": Provenance(
        "reconstructed", f"{_TEMPME} for the compression alone", "prompts as in prompt"
    ),
    "adapter-tempme": Provenance(
        "reconstructed", f"{_TEMPME} for the compression alone", "bottlenecks as in adapter"
    ),
    "tempme-full": _full(_MATCHING),
    "tome-full": _full(_MATCHING),
    "imgme-only": Provenance("reproduced", _TEMPME, _MATCHING),
    "token-reduction": Provenance(
        "reconstructed", "the paper does not say how; its cost is near", "how frames merge"
    ),
    "temporal-modelling": Provenance("reproduced", _TEMPME, "nothing"),
}
# UMT: a foundation model of videos (the paper's Tables 6 and 7).
SOURCES |= {
    "umt": Provenance(
        "reproduced",
        _UMT_CODE,
        "one feature of a video is the mean of its frames', made unit length, for an index; the "
        "test of two stages takes the mean of their cosines, as the original",
        _UMT,
        _UMT_BEYOND,
    ),
    "umt4clip": _UMT4CLIP,
    "umt4clip-tome": Provenance(
        "reconstructed", f"{_UMT_CODE}; {_TEMPME}'s merging", "r 10, as of CLIP with patches of 16"
    ),
    "umt4clip-tempme": Provenance(
        "reconstructed",
        f"{_UMT_CODE}; {_TEMPME}'s merging",
        "r 12, merging 50 % across clips and 15 % inside: a choice, since several settings cost "
        "the 111.5 that is printed, and none is published; the mean of tokens weighs by size",
        _UMT,
        _UMT_BEYOND,
    ),
}
SOURCES["clip4clip-seqtransf"] = Provenance(
    "reconstructed",
    _CLIP4CLIP.code,
    "held against a reference of ours that reads its description, not against its outputs; frames "
    "that fill a video up are hidden from all heads alike",
    _CLIP4CLIP.recipe,
    f"a learning rate of 1e-4 for the transformer over frames; {_CLIP4CLIP.beyond}",
)
# Second settings: the same code, trained and read as its authors do.
SOURCES |= {
    f"{name}-original": SOURCES[name] for name in ("plevu", "vop", "dgl-transformer", "mv-adapter")
}
# Rules that follow the content, at places of ours.
_BEFORE = "before block 0 rather than behind an encoder; CLIP's frames keep apart"
_RLT = "rccchoudhury/rlt 69ec8b4: the comparison"
SOURCES |= {
    "evs": Provenance("adapted", "vLLM, multimodal/evs: the rule", _BEFORE),
    "tempme-evs": Provenance(
        "adapted", f"vLLM, multimodal/evs; {_TEMPME}", f"{_BEFORE}; a budget for every first clip"
    ),
    "rlt-share": Provenance(
        "adapted", _RLT, "a fixed number rather than a threshold; frames read runs begun before"
    ),
    "rlt-size": Provenance(
        "adapted", _RLT, "as rlt-share; where clips join, a run counts by its length"
    ),
    "tempme-rlt": Provenance(
        "adapted", f"{_RLT}; {_TEMPME}", "as rlt-size, and TempMe merges what is left"
    ),
    "earlytom": Provenance(
        "adapted",
        "viridisGreen/EarlyTom b909322: whole frames by equal places",
        "a fixed number of segments, cut where neighbours differ most; plain means",
    ),
    "dtem": Provenance(
        "adapted",
        "movinghoon/dtem: the metric and its relaxation; on TempMe's LoRA",
        "sets as in ToMe; the norm before the metric has no weights; the last block learns none",
    ),
    "pitome": Provenance(
        "adapted",
        "hchautran/PiToMe: energies and partners; on TempMe's LoRA",
        "where ToMe merges and as many, by whole tokens; among equals the first token wins",
    ),
    "tempme-aligned": Provenance(
        "ours", f"{_TEMPME} for all else", "equal places that stand still merge first"
    ),
    "tempme-average": Provenance(
        "ours", f"{_TEMPME} for the joins", "means of equal places; nothing else merges"
    ),
    "tempme-halves": Provenance(
        "ours", f"{_TEMPME} for all else", "joins 2-3-2; places counted inside the clip that joins"
    ),
    "tempme-rlt-halves": Provenance(
        "adapted",
        f"{_RLT}; {_TEMPME}",
        "as tempme-rlt; joins 2-3-2, places counted inside the clip that joins",
    ),
}
