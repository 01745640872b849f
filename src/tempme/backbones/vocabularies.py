"""The tokenizers of both families of backbones; no PyTorch here."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from tempme.backbones.sizes import Sizes
from tempme.backbones.tokenizer import Tokenizer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.wordpiece import WordPiece

AnyTokenizer: TypeAlias = Tokenizer | WordPiece


def no_words(config: Sizes) -> AnyTokenizer:
    """What a backbone that has learnt nothing reads: CLIP's own pieces; of BERT's there are none.

    BERT's pieces come with weights, or are made of the captions that are learnt from.
    """
    if isinstance(config, UmtConfig):
        return WordPiece.of_words([], context=config.context)
    return Tokenizer(context=config.context)


def load_words(path: Path, config: Sizes) -> AnyTokenizer:
    """The tokenizer that lies beside the weights of a saved backbone."""
    return WordPiece.load(path) if isinstance(config, UmtConfig) else Tokenizer.load(path)
