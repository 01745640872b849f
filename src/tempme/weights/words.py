"""Whose words a text encoder reads: CLIP's own vocabulary, or another one, which is refused.

Weights do not tell: an encoder that is given the ids of another vocabulary answers nonsense, and no
error. What lies beside them tells: the tokenizer's files and the kind of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempme.backbones.bytepair import END, START, VOCAB, piece_ids
from tempme.errors import BadWeights
from tempme.weights.files import read_json

TOKENIZERS = ("CLIPTokenizer", "CLIPTokenizerFast")
ALIKE = 0.99  # of the pieces have CLIP's ids, or the vocabulary is another one
_NEEDED = "only CLIP's own 49,408 word pieces are read"


def check_words(folder: Path) -> None:
    """BadWeights where a tokenizer in the folder of the weights is not CLIP's."""
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        kind = read_json(settings).get("tokenizer_class")
        if kind is not None and kind not in TOKENIZERS:
            raise BadWeights(f"{settings}: tokenizer_class is {kind}; {_NEEDED}")
    for path, words in _vocabularies(folder):
        own = piece_ids()
        wrong = [piece for piece, number in own.items() if words.get(piece) != number]
        if len(wrong) > (1 - ALIKE) * len(own) or START in wrong or END in wrong:
            raise BadWeights(
                f"{path} is another vocabulary than CLIP's ({len(wrong):,} of {len(own):,} pieces "
                f"have another id or none, such as {wrong[0]!r}); {_NEEDED}"
            )


def check_count(vocab: int, origin: object) -> None:
    """BadWeights where an encoder knows more pieces than CLIP has: another tokenizer made them."""
    if vocab > VOCAB:
        raise BadWeights(
            f"{origin} has a text encoder of {vocab:,} word pieces, which another tokenizer than "
            f"CLIP's makes; {_NEEDED}"
        )


def _vocabularies(folder: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    found: list[tuple[Path, Mapping[str, Any]]] = []
    plain, whole = folder / "vocab.json", folder / "tokenizer.json"
    if plain.is_file():
        found.append((plain, read_json(plain)))
    if whole.is_file():
        model = read_json(whole).get("model")
        words = model.get("vocab") if isinstance(model, Mapping) else None
        found.append((whole, words if isinstance(words, Mapping) else {}))
    return found
