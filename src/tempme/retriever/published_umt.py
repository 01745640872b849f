"""Published weights of UMT, and the words that go with them, as a backbone before tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tempme.backbones.backbone import seen_by
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.backbones.vocabularies import AnyTokenizer
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.parts import Untuned, from_umt
from tempme.weights.published import is_repository
from tempme.weights.umt_release import is_of_umt, read_umt

VOCABULARIES = ("vocab.txt", "tokenizer.json")  # beside the weights; the first is bert-base-uncased


def is_umt(source: str | Path | Mapping[str, Tensor]) -> bool:
    """Whether weights are those of a UMT; what they are called in the file tells."""
    if isinstance(source, Mapping):
        return is_of_umt(source)
    path = Path(source)
    return path.is_file() and is_of_umt(path)


def umt_of(
    source: str | Path | Mapping[str, Tensor],
    sizes: UmtConfig | None,
    tokenizer: AnyTokenizer | None,
) -> Untuned:
    """The backbone of weights, as a system of `sizes` sees frames.

    tokenizer: None is the vocabulary that lies beside the file. BadWeights where there is none.
    """
    asked: dict[str, Any] = {}
    if sizes is not None:
        asked = {"image_size": sizes.image_size, "heads": sizes.heads}
        asked["text_heads"] = sizes.text_heads
    _check_there(source)
    read = read_umt(source, **asked)
    if sizes is not None:
        config = replace(seen_by(read.config, sizes), mean=sizes.mean, std=sizes.std)
        read = replace(read, config=config)
    return from_umt(read, words_beside(source, tokenizer, read.config.context))


def _check_there(source: str | Path | Mapping[str, Tensor]) -> None:
    if isinstance(source, Mapping) or Path(source).is_file():
        return
    if Path(source).exists() or is_repository(str(source)):
        raise BadWeights(f"{source} is no file: weights of UMT are one, such as b16_25m.pth")
    raise BadWeights(
        f"there is no file {str(source)!r}: weights of UMT have no tag, and come from its authors "
        f"(OpenGVLab/unmasked_teacher, multi_modality/MODEL_ZOO.md)"
    )


def words_beside(
    source: str | Path | Mapping[str, Tensor], tokenizer: AnyTokenizer | None, context: int
) -> WordPiece:
    """The given words, or those whose file lies beside that of the weights."""
    if isinstance(tokenizer, WordPiece):
        return tokenizer
    if tokenizer is not None:
        raise BadSetting("a UMT reads BERT's pieces of words: give a WordPiece as tokenizer")
    if isinstance(source, Mapping):
        raise BadSetting(
            "a state dict of UMT has no words: give tokenizer=WordPiece.load('vocab.txt'), the "
            "vocabulary of bert-base-uncased"
        )
    folder = Path(source).parent
    for name in VOCABULARIES:
        if (folder / name).is_file():
            return replace(WordPiece.load(folder / name), context=context)
    raise BadWeights(
        f"{source} holds no words: put {VOCABULARIES[0]}, the vocabulary of bert-base-uncased, "
        f"beside it"
    )
