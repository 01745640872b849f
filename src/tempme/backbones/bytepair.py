"""CLIP's byte-pair encoding as pure functions: text -> words -> pieces -> ids.

The ids are those of `SimpleTokenizer` in https://github.com/openai/CLIP; the table of merges
is the published file, shipped beside this module. Written without the `regex` and
`tokenizers` packages because the table as two dicts is ready in a fraction of their time.
"""

from __future__ import annotations

import functools
import gzip
import html
import itertools
import re
import unicodedata
from importlib import resources

START = "<|startoftext|>"
END = "<|endoftext|>"
NUM_MERGES = 49152 - 256 - 2
START_ID = 512 + NUM_MERGES
END_ID = START_ID + 1
VOCAB = END_ID + 1

# The published expression, on text whose characters beyond ASCII were replaced by `_outline`.
_WORD = re.compile(
    rf"{re.escape(START)}|{re.escape(END)}|'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+"
)
# Text that `ftfy` and `html.unescape` leave as it is: no control character, no entity.
_PLAIN = re.compile(r"[\t\n\r\x20-\x25\x27-\x7e]*")


@functools.cache
def byte_symbols() -> tuple[str, ...]:
    """One printable character for each of the 256 bytes, indexed by the byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable}
    symbols |= {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return tuple(symbols[byte] for byte in range(256))


@functools.cache
def merge_ranks() -> dict[str, int]:
    """ "left right" -> place in the published table: the lower one is merged first."""
    packed = (
        resources.files("tempme.backbones").joinpath("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    )
    lines = gzip.decompress(packed).decode("utf-8").split("\n")[1 : NUM_MERGES + 1]
    return {line: rank for rank, line in enumerate(lines)}


@functools.cache
def piece_ids() -> dict[str, int]:
    """Piece -> CLIP id: 256 bytes, 256 bytes that end a word, the merges, start and end."""
    alphabet = sorted(byte_symbols(), key=_published_order)
    merged = "\n".join(merge_ranks()).replace(" ", "").split("\n")
    pieces = [*alphabet, *(symbol + "</w>" for symbol in alphabet), *merged, START, END]
    return {piece: place for place, piece in enumerate(pieces)}


@functools.cache
def id_pieces() -> dict[int, str]:
    """CLIP id -> piece."""
    return {place: piece for piece, place in piece_ids().items()}


def _published_order(symbol: str) -> tuple[bool, int]:
    """The alphabet lists the printable bytes first, then the hidden ones."""
    return ord(symbol) >= 256, ord(symbol)


def clean(text: str) -> str:
    """Mended (mojibake, HTML entities), in lower case, single spaces."""
    if not _PLAIN.fullmatch(text):
        import ftfy  # 60 ms of import, and only text beyond plain ASCII needs it

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def split_words(text: str) -> list[str]:
    """The words of a cleaned text: runs of letters, single digits, runs of signs."""
    if text.isascii():
        return _WORD.findall(text)
    outline = "".join(map(_outline, text))
    return [text[found.start() : found.end()] for found in _WORD.finditer(outline)]


@functools.cache
def _outline(character: str) -> str:
    """An ASCII stand-in of the same class: letter z, number 0, space, or sign !."""
    if character.isascii():
        return character
    if character == "\u017f":  # long s, equal to s where case is ignored
        return "s"
    # The published expression, ignoring case, has no class for U+0345 and skips it.
    if character.isspace() or character == "\u0345":
        return " "
    # z is in no contraction and in neither special token, so it cannot complete one.
    return {"L": "z", "N": "0"}.get(unicodedata.category(character)[0], "!")


@functools.lru_cache(maxsize=1 << 16)
def word_ids(word: str) -> tuple[int, ...]:
    """The CLIP ids of one word of `split_words`."""
    ids = piece_ids()
    if word in (START, END):
        return (ids[word],)
    symbols = byte_symbols()
    pieces = [symbols[byte] for byte in word.encode("utf-8", "replace")]
    pieces[-1] += "</w>"
    return tuple(ids[piece] for piece in _merge(pieces))


def _merge(pieces: list[str]) -> list[str]:
    """Join neighbours, the pair of lowest rank first, until no pair is in the table."""
    ranks = merge_ranks()
    while len(pieces) > 1:
        pairs = {f"{left} {right}" for left, right in itertools.pairwise(pieces)}
        best = min(pairs, key=lambda pair: ranks.get(pair, NUM_MERGES))
        if best not in ranks:
            break
        pieces = _join_pair(pieces, *best.split(" "))
    return pieces


def _join_pair(pieces: list[str], left: str, right: str) -> list[str]:
    """Every occurrence of left, right becomes one piece, from left to right."""
    joined: list[str] = []
    for piece in pieces:
        if joined and joined[-1] == left and piece == right:
            joined[-1] = left + right
        else:
            joined.append(piece)
    return joined


def spell(ids: tuple[int, ...] | list[int]) -> str:
    """The text of CLIP ids: each word is followed by a space, as in the reference."""
    codes = {symbol: byte for byte, symbol in enumerate(byte_symbols())}
    pieces = id_pieces()
    text = "".join(pieces[number] for number in ids)
    return bytes(codes[symbol] for symbol in text).decode("utf-8", "replace").replace("</w>", " ")
