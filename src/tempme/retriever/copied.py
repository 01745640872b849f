"""A saved retriever that is copied as it is, with its text side alone read into memory.

What is asked of a model where an index begins is its name, its sizes and its text side. All weights
of a ViT-B/32 in fp32 are 605 MB, and its text side 250.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors import SafetensorError

from tempme.atomic import replacing
from tempme.backbones.vocabularies import load_words
from tempme.errors import TempmeError
from tempme.processes.memory import large_blocks_apart
from tempme.retriever.checkpoint import described_in
from tempme.retriever.fingerprint import Prints
from tempme.retriever.frugal import take_in, whole_clip
from tempme.retriever.names import SYSTEM, TOKENIZER, WEIGHTS
from tempme.retriever.parts import Parts
from tempme.retriever.retriever import Retriever

VISION = "vision."


def text_side(folder: Path) -> Retriever | None:
    """The saved retriever in `folder` with its name, its sizes and its text side alone in memory.

    Its vision tower holds no weights: it can neither encode videos nor be saved. None where it does
    not hold all its weights, or anything is wrong with it: loading it as usual says what.
    """
    try:
        with large_blocks_apart():
            return _text_side(folder)
    except (TempmeError, OSError, ValueError, SafetensorError):
        return None


def copy_saved(source: Path, folder: Path) -> None:
    """Copy a saved retriever into `folder`, the file that makes it one last. OSError."""
    for name in (WEIGHTS, TOKENIZER, SYSTEM):
        with replacing(folder / name) as draft:
            shutil.copyfile(source / name, draft)


def _text_side(folder: Path) -> Retriever | None:
    described = described_in(folder)
    if not described.origin or (whole := whole_clip(folder, described)) is None:
        return None
    (weights, backbone), prints = whole, Prints()
    system, state = described.system(), backbone.state_dict()
    text = {name: value for name, value in state.items() if not name.startswith(VISION)}
    largest_first = sorted(state, key=lambda name: (-state[name].numel(), name))
    if not take_in(largest_first, weights, text, prints):
        return None
    tokenizer = load_words(folder / TOKENIZER, system.config)
    parts = Parts(system, backbone, tokenizer, described.origin)
    return Retriever(parts, fingerprints=prints.fingerprints(system, tokenizer))
