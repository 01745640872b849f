"""Captions -> ids: CLIP's own vocabulary, or the part of it that a small model keeps."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tempme.atomic import replacing
from tempme.backbones import bytepair
from tempme.errors import BadSetting, BadWeights
from tempme.untrusted import read_json

if TYPE_CHECKING:
    from torch import Tensor

PAD = 0
# How Unicode calls letters that English texts have, full-width ones and single signs among them.
LATIN = ("LATIN", "FULLWIDTH LATIN", "FEMININE ORDINAL", "MASCULINE ORDINAL", "MICRO", "MODIFIER")


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids of at most `context` tokens; the last real token (EOT) has the largest id.

    `kept` lists the CLIP ids that a smaller model knows, in ascending order; its ids are the
    places in that list, so rows of a full embedding table can be taken by `kept`. A word with
    a piece outside the list is left out of the text; `unknown` tells which. None keeps all.
    """

    context: int = 77
    kept: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.context < 2:
            raise BadSetting(f"context is {self.context}; start and end alone need 2")
        if self.kept is not None:
            _check_kept(self.kept)
        places = None if self.kept is None else {clip: own for own, clip in enumerate(self.kept)}
        object.__setattr__(self, "_places", places)

    @classmethod
    def of_words(cls, texts: Iterable[str], *, context: int = 77) -> Tokenizer:
        """The tokenizer that knows every word of `texts` and no other."""
        words = {word for text in texts for word in _words(text)}
        ids = {number for word in words for number in bytepair.word_ids(word)}
        return cls(context, tuple(sorted(ids | {PAD, bytepair.START_ID, bytepair.END_ID})))

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """The tokenizer that `save` wrote."""
        try:
            stored = read_json(path, follow=True)
            kept = stored["kept"]
            return cls(int(stored["context"]), None if kept is None else tuple(map(int, kept)))
        except (OSError, ValueError, LookupError, TypeError) as reason:
            raise BadWeights(f"{path} is not a tokenizer of this program: {reason}") from reason

    def save(self, path: Path) -> None:
        """Write a small JSON file to lie beside the weights."""
        with replacing(path) as draft:
            draft.write_text(
                json.dumps({"context": self.context, "kept": self.kept}) + "\n", "utf-8"
            )

    @property
    def vocab(self) -> int:
        """Rows of the embedding table."""
        return bytepair.VOCAB if self.kept is None else len(self.kept)

    @property
    def sot(self) -> int:
        """Id of the start of a text."""
        return self.vocab - 2

    @property
    def eot(self) -> int:
        """Id of the end of a text: the largest one, where the text feature is read."""
        return self.vocab - 1

    def encode(self, text: str) -> list[int]:
        """Ids of the words, without start, end or padding, however long the text is."""
        words = [bytepair.word_ids(word) for word in _words(text)]
        places: dict[int, int] | None = self.__dict__["_places"]
        if places is None:
            return [number for word in words for number in word]
        known = [word for word in words if places.keys() >= set(word)]
        return [places[number] for word in known for number in word]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, lower case, a space after each word."""
        try:
            clip_ids = [number if self.kept is None else self.kept[number] for number in ids]
            return bytepair.spell(clip_ids)
        except (KeyError, IndexError) as reason:
            raise BadSetting(f"an id to decode is outside 0 to {self.eot}") from reason

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that this vocabulary leaves out, in order, each once."""
        places: dict[int, int] | None = self.__dict__["_places"]
        if places is None:
            return []
        words = dict.fromkeys(_words(text))
        return [word for word in words if not places.keys() >= set(bytepair.word_ids(word))]

    def foreign(self, text: str) -> list[str]:
        """The words of `text` in another script than Latin, in order, each once.

        The vocabulary spells any word, byte by byte if it must, but CLIP and its like have learnt
        from English: what is spelt so says next to nothing to them. Pictographs are not words.
        """
        return [word for word in dict.fromkeys(_words(text)) if any(map(is_foreign, word))]

    def is_cut(self, text: str, *, max_words: int = 32) -> bool:
        """Whether the model would not see the end of `text`."""
        return len(self.encode(text)) > self._width(max_words) - 2

    def __call__(self, texts: Sequence[str], *, max_words: int = 32) -> tuple[Tensor, Tensor]:
        """Ids and mask, both (T, W) int64: start, the words cut to W - 2, end, padded by 0.

        W is `max_words`, or `context` where that is smaller. A longer text loses its end, as
        in the reference; `is_cut` tells.
        """
        import torch  # so that the vocabulary can be asked without it

        if isinstance(texts, str):
            raise BadSetting(f"texts is one string; give a list: [{texts!r}]")
        width = self._width(max_words)
        rows = [[self.sot, *self.encode(text)[: width - 2], self.eot] for text in texts]
        ids = torch.full((len(rows), width), PAD, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        return ids, mask

    def _width(self, max_words: int) -> int:
        if max_words < 2:
            raise BadSetting(f"max_words is {max_words}; start and end alone need 2")
        return min(max_words, self.context)


def _words(text: str) -> list[str]:
    if not isinstance(text, str):
        raise BadSetting(f"a text must be a string, not {type(text).__name__}: {text!r}")
    return bytepair.split_words(bytepair.clean(text))


def is_foreign(letter: str) -> bool:
    """Whether a letter is of another script than Latin."""
    return letter.isalpha() and not unicodedata.name(letter, "LATIN").startswith(LATIN)


def _check_kept(kept: tuple[int, ...]) -> None:
    needed = {PAD, bytepair.START_ID, bytepair.END_ID}
    if tuple(sorted(set(kept))) != kept or not needed <= set(kept):
        raise BadSetting("kept must ascend and hold 0, start and end; use Tokenizer.of_words")
    if kept[0] < 0 or kept[-1] >= bytepair.VOCAB:
        raise BadSetting(f"kept holds ids outside 0 to {bytepair.VOCAB - 1}")
