"""OpenAI's layout: the names of its state dict in safetensors, and the scalars beside them."""

from __future__ import annotations

from pathlib import Path

import torch

from tempme.atomic import replacing
from tempme.backbones.config import OPENAI_MEAN, OPENAI_STD
from tempme.exporting.files import OF_PYTORCH
from tempme.exporting.merged import check_fixed, clip_of, merged
from tempme.retriever.parts import Parts
from tempme.weights.saving import save_tensors

FILE = "model.safetensors"
FORM = "openai"


def write_openai(parts: Parts, folder: Path) -> tuple[str, ...]:
    """Write the folder that `weights=` reads; the names of its files.

    What OpenAI's file means without saying so has to hold: QuickGELU, a head per 64 of width, its
    mean and deviation of pixels.
    """
    config = clip_of(parts, FORM).config
    state = merged(parts, FORM)
    check_fixed(
        FORM,
        {
            "activation": (config.activation, "quick_gelu"),
            "heads": (config.heads, max(1, config.width // 64)),
            "text heads": (config.text_heads, max(1, config.text_width // 64)),
            "mean": (tuple(config.mean), OPENAI_MEAN),
            "std": (tuple(config.std), OPENAI_STD),
        },
    )
    # By these, and by its form, an archive of OpenAI's is known: they say QuickGELU.
    scalars = {
        "input_resolution": config.image_size,
        "context_length": config.context,
        "vocab_size": config.vocab,
    }
    state |= {name: torch.tensor(value) for name, value in scalars.items()}
    with replacing(folder / FILE) as draft:
        save_tensors(state, draft, metadata=OF_PYTORCH)
    return (FILE,)
