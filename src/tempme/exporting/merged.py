"""A retriever as a plain CLIP: what learnt folded into the weights, where that is exact."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from tempme.backbones.bytepair import VOCAB
from tempme.backbones.clip import Clip, our_name
from tempme.backbones.layers import fold, inner_state
from tempme.errors import BadSetting
from tempme.pooling import MeanPooling
from tempme.retriever.parts import Parts
from tempme.weights.fit import named
from tempme.weights.sizes import expected_shapes


@torch.no_grad()
def merged(parts: Parts, form: str) -> dict[str, Tensor]:
    """The weights under OpenAI's names, in fp32.

    BadSetting where a plain CLIP would not give the features: something learnt beside its weights,
    or the words are not CLIP's own. form: the name of the layout, for the message.
    """
    system, config = parts.system, clip_of(parts, form).config
    if config.vocab != VOCAB or parts.tokenizer.vocab != VOCAB:
        raise BadSetting(
            f"{system.name} of {parts.origin} knows {parts.tokenizer.vocab:,} of CLIP's {VOCAB:,} "
            f"word pieces, and the {form} layout cannot say which: use --format "
            f"sentence-transformers, or the folder that it is saved in"
        )
    if system.pooling != MeanPooling():
        raise _refusal(parts, form, f"its pooling is {system.pooling}, not the mean of frames")
    folded = fold(copy.deepcopy(parts.backbone))
    inner = inner_state(folded)
    wanted = {name: our_name(name) for name in expected_shapes(config)}
    changed = sorted(name for name in wanted.values() if name not in inner)
    if changed:
        raise _refusal(parts, form, f"its tuning took the place of {named(changed)}")
    kept = {inner[name].data_ptr() for name in wanted.values()}
    beside = sorted(
        name
        for name, value in folded.state_dict().items()
        if value.numel() and value.data_ptr() not in kept
    )
    if beside:
        raise _refusal(parts, form, f"{named(beside)} learnt beside the weights of CLIP")
    return {name: inner[ours].float().cpu().contiguous() for name, ours in wanted.items()}


def clip_of(parts: Parts, form: str) -> Clip:
    """The backbone; BadSetting where it is no CLIP."""
    if not isinstance(parts.backbone, Clip):
        raise _refusal(parts, form, "its backbone is a UMT")
    return parts.backbone


def check_fixed(form: str, values: Mapping[str, tuple[object, object]]) -> None:
    """BadSetting where the layout fixes what this model has otherwise: name -> (own, fixed)."""
    for name, (own, fixed) in values.items():
        if own != fixed:
            raise BadSetting(
                f"the {form} layout means {name} {fixed}, and this model has {own}: use --format "
                f"transformers, which says it"
            )


def _refusal(parts: Parts, form: str, reason: str) -> BadSetting:
    return BadSetting(
        f"{parts.system.name} of {parts.origin} is no plain CLIP: {reason}, and the {form} layout "
        f"would lose it. LoRA and full tuning fold into the weights where nothing else learns; "
        f"others keep the folder that they are saved in (tempme.load), or --format "
        f"sentence-transformers"
    )
