"""Captions -> ids: BERT's pieces of words, by a vocabulary that lies beside the weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tempme.atomic import replacing
from tempme.backbones.tokenizer import is_foreign
from tempme.errors import BadSetting, BadWeights

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from torch import Tensor

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MORE = "##"  # begins a piece that goes on with the word before it
_MARKS = re.compile(r"[,.'!?\"()*#:;~]")
_TO_SPACE = str.maketrans({"-": " ", "/": " "})


def clean(text: str) -> str:
    """As UMT cleans captions, questions and answers: lower case, no marks, single spaces."""
    text = _MARKS.sub("", text.lower()).translate(_TO_SPACE).replace("<person>", "person")
    return re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")


@dataclass(frozen=True)
class WordPiece:
    """Text to ids of at most `context` tokens, led by [CLS]; the place of a piece is its id.

    UMT puts no [SEP] behind a text, but behind an answer; what would not fit is cut off.
    """

    vocabulary: tuple[str, ...]
    context: int = 512

    def __post_init__(self) -> None:
        if self.context < 2:
            raise BadSetting(f"context is {self.context}; start and a word alone need 2")
        places = {piece: place for place, piece in enumerate(self.vocabulary)}
        if len(places) < len(self.vocabulary) or not places.keys() >= set(SPECIAL):
            what = "holds a piece twice" if places.keys() >= set(SPECIAL) else "lacks some of them"
            raise BadSetting(
                f"a vocabulary has {', '.join(SPECIAL)} and every piece once; this one {what}"
            )
        if places[PAD] != 0:
            raise BadSetting(f"{PAD} has id {places[PAD]}; it is the first piece, of id 0")
        object.__setattr__(self, "_places", places)
        object.__setattr__(self, "_splitter", _splitter(places))

    @classmethod
    def of_words(cls, texts: Iterable[str], *, context: int = 512) -> WordPiece:
        """The tokenizer that knows every word of `texts` as one piece, and no other."""
        words = {word for text in texts for word in _words(text)}
        return cls((*SPECIAL, *sorted(words - set(SPECIAL))), context)

    @classmethod
    def load(cls, path: Path) -> WordPiece:
        """The tokenizer that `save` wrote, or a published `vocab.txt`, one piece a line."""
        try:
            text = path.read_text("utf-8")
            if not text.lstrip().startswith("{"):
                return cls(tuple(text.removesuffix("\n").split("\n")))
            stored = json.loads(text)
            return cls(tuple(map(str, stored["vocabulary"])), int(stored["context"]))
        except (OSError, ValueError, KeyError, TypeError) as reason:
            raise BadWeights(f"{path} is not a vocabulary of BERT: {reason}") from reason

    def save(self, path: Path) -> None:
        """Write a small JSON file to lie beside the weights."""
        with replacing(path) as draft:
            stored = {"context": self.context, "vocabulary": self.vocabulary}
            draft.write_text(json.dumps(stored, ensure_ascii=False) + "\n", "utf-8")

    @property
    def vocab(self) -> int:
        """Rows of the embedding table."""
        return len(self.vocabulary)

    def encode(self, text: str, *, end: bool = False) -> list[int]:
        """Ids of the pieces, without [CLS] and padding, however long the text is.

        end: whether [SEP] follows, as it does an answer. Square brackets in a text are text: nobody
        can spell a special token.
        """
        if not isinstance(text, str):
            raise BadSetting(f"a text must be a string, not {type(text).__name__}: {text!r}")
        splitter: Tokenizer = self.__dict__["_splitter"]
        ids = list(splitter.encode(clean(text)).ids)
        return [*ids, self._id(END)] if end else ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, lower case, a space after each word, special tokens left out."""
        words: list[str] = []
        for number in ids:
            if not 0 <= number < self.vocab:
                raise BadSetting(f"an id to decode is {number}; ids are 0 to {self.vocab - 1}")
            piece = self.vocabulary[number]
            if piece.startswith(MORE) and words:
                words[-1] += piece.removeprefix(MORE)
            elif piece not in SPECIAL:
                words.append(piece)
        return " ".join(words)

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that this vocabulary cannot spell, in order, each once."""
        words = dict.fromkeys(_words(text))
        return [word for word in words if self._id(UNKNOWN) in self.encode(word)]

    def foreign(self, text: str) -> list[str]:
        """The words of `text` in another script than Latin, which UMT has hardly learnt."""
        return [word for word in dict.fromkeys(_words(text)) if any(map(is_foreign, word))]

    def is_cut(self, text: str, *, max_words: int = 32) -> bool:
        """Whether the model would not see the end of `text`."""
        return len(self.encode(text)) > self._width(max_words) - 1

    def __call__(
        self, texts: Sequence[str], *, max_words: int = 32, end: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Ids and mask, both (T, W) int64: [CLS], the pieces cut to W - 1, padding.

        W is `max_words`, or `context` where that is smaller. end: [SEP] follows the pieces, where
        there is room for it.
        """
        import torch  # so that the vocabulary can be asked without it

        if isinstance(texts, str):
            raise BadSetting(f"texts is one string; give a list: [{texts!r}]")
        width, start = self._width(max_words), self._id(START)
        rows = [[start, *self.encode(text, end=end)[: width - 1]] for text in texts]
        ids = torch.full((len(rows), width), self._id(PAD), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return ids, mask

    def _id(self, special: str) -> int:
        places: dict[str, int] = self.__dict__["_places"]
        return places[special]

    def _width(self, max_words: int) -> int:
        if max_words < 2:
            raise BadSetting(f"max_words is {max_words}; start and a word alone need 2")
        return min(max_words, self.context)


def _words(text: str) -> list[str]:
    """The words of a text as BERT parts them: at spaces and marks, without accents."""
    normalizer, parts = _rules()
    cleaned = normalizer.normalize_str(clean(text))
    return [word for word, _ in parts.pre_tokenize_str(cleaned)]


def _splitter(places: dict[str, int]) -> Tokenizer:
    """Google's BERT tokenizer for lower case over this vocabulary."""
    from tokenizers import Tokenizer, models

    made = Tokenizer(models.WordPiece(places, unk_token=UNKNOWN, continuing_subword_prefix=MORE))
    made.normalizer, made.pre_tokenizer = _rules()
    return made


def _rules() -> tuple[BertNormalizer, BertPreTokenizer]:
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    return BertNormalizer(lowercase=True), BertPreTokenizer()
