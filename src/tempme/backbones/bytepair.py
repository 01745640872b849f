"""CLIP's byte-pair encoding as pure functions: text -> words -> pieces -> ids.

The ids are those of `SimpleTokenizer` in https://github.com/openai/CLIP; the table of merges
is the published file, shipped beside this module. `tokenizers` splits and merges.
"""

from __future__ import annotations

import functools
import gzip
import html
import itertools
import re
from pathlib import Path

from tokenizers import Regex
from tokenizers.decoders import ByteLevel as ByteLevelText
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split

START = "<|startoftext|>"
END = "<|endoftext|>"
NUM_MERGES = 49152 - 256 - 2
START_ID = 512 + NUM_MERGES
END_ID = START_ID + 1
VOCAB = END_ID + 1

TABLE = Path(__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
WORD_END = "</w>"
# Longer ones are no words, and remembering many would take memory that a stranger decides about.
LONGEST_KEPT = 64
# The published expression.
_WORD = (
    rf"(?i){re.escape(START)}|{re.escape(END)}|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
# Text that `ftfy` and `html.unescape` leave as it is: no control character, no entity.
_PLAIN = re.compile(r"[\t\n\r\x20-\x25\x27-\x7e]*")
_SPLIT = Split(Regex(_WORD), "removed", invert=True)
_BYTES = ByteLevel(add_prefix_space=False, use_regex=False)


@functools.cache
def piece_ids() -> dict[str, int]:
    """Piece -> CLIP id: 256 bytes, 256 bytes that end a word, the merges, start and end."""
    alphabet = sorted(ByteLevel.alphabet())
    ends = (symbol + WORD_END for symbol in alphabet)
    pieces = [*alphabet, *ends, *map("".join, merges()), START, END]
    return {piece: place for place, piece in enumerate(pieces)}


@functools.cache
def id_pieces() -> dict[int, str]:
    """CLIP id -> piece."""
    return {place: piece for piece, place in piece_ids().items()}


def clean(text: str) -> str:
    """Mended (mojibake, HTML entities), in lower case, single spaces."""
    if not _PLAIN.fullmatch(text):
        import ftfy  # 60 ms of import, and only text beyond plain ASCII needs it

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def split_words(text: str) -> list[str]:
    """The words of a cleaned text: runs of letters, single digits, runs of signs."""
    # The published expression, ignoring case, has no class for U+0345 and skips it.
    text = text.replace("\u0345", " ").encode("utf-8", "replace").decode("utf-8")
    return [word for word, _ in _SPLIT.pre_tokenize_str(text)]


def word_ids(word: str) -> tuple[int, ...]:
    """The CLIP ids of one word of `split_words`, remembered if it may be a word."""
    return _kept_ids(word) if len(word) <= LONGEST_KEPT else _ids(word)


def _ids(word: str) -> tuple[int, ...]:
    if word in (START, END):
        return (piece_ids()[word],)
    [(symbols, _)] = _BYTES.pre_tokenize_str(word)
    return tuple(piece.id for piece in _model().tokenize(symbols))


_kept_ids = functools.lru_cache(maxsize=1 << 16)(_ids)


def spell(ids: tuple[int, ...] | list[int]) -> str:
    """The text of CLIP ids: each word is followed by a space, as in the reference."""
    pieces = id_pieces()
    text: str = ByteLevelText().decode([pieces[number] for number in ids])
    return text.replace(WORD_END, " ")


@functools.cache
def merges() -> list[tuple[str, str]]:
    """The lines of the published table that CLIP uses; what stands earlier is merged first."""
    with gzip.open(TABLE, "rt", encoding="utf-8") as table:
        lines = itertools.islice(table, 1, NUM_MERGES + 1)
        return [(left, right) for left, right in map(str.split, lines)]


@functools.cache
def _model() -> BPE:
    return BPE(piece_ids(), merges(), end_of_word_suffix=WORD_END)
