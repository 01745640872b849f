"""`words.npz`: the text side of an index's model, so that a search needs no PyTorch.

It is only a copy, kept where the text side is CLIP's own: without it, or if anything in it is not
as it was written, a search loads the whole model. Every array has a checksum, which the archive
keeps; arrays are in half precision where that loses nothing.
"""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tempme.atomic import replacing
from tempme.index.header import Header
from tempme.untrusted import MEBIBYTE, open_regular, parsed_json

if TYPE_CHECKING:
    from tempme.backbones.words import Words

NAME = "words.npz"
FORMAT = 1
# Twice that of ViT-L/14 in fp32; what is larger is not kept, nor believed.
MOST_BYTES = 1024 * MEBIBYTE


@dataclass(frozen=True, eq=False)
class KeptWords:
    """A text side, and where the weights of its model come from."""

    words: Words
    origin: str


def write_words(folder: Path, kept: KeptWords, *, fingerprint: str) -> None:
    """Keep a text side. Failing to is no error: searches only start slower."""
    words = kept.words
    facts = {
        "format": FORMAT,
        "origin": kept.origin,
        "fingerprint": fingerprint,
        "heads": words.heads,
        "activation": words.activation,
        "max_words": words.max_words,
        "tokenizer": asdict(words.tokenizer),
    }
    told = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    arrays: dict[str, Any] = {name: _smallest(array) for name, array in words.arrays.items()}
    if sum(array.nbytes for array in arrays.values()) > MOST_BYTES:
        return
    with suppress(OSError), replacing(folder / NAME) as draft, draft.open("wb") as file:
        np.savez(file, facts=told, **arrays)


def read_words(folder: Path, header: Header) -> KeptWords | None:
    """The text side of the model of `header`; None if there is none, or it is damaged."""
    from tempme.backbones.tokenizer import Tokenizer
    from tempme.backbones.words import Words

    try:
        with open_regular(folder / NAME) as raw:
            if os.fstat(raw.fileno()).st_size > MOST_BYTES or not _is_stored(raw):
                return None
            with np.load(raw, allow_pickle=False) as file:
                facts = parsed_json(file["facts"].tobytes())
                if (facts["format"], facts["fingerprint"]) != (FORMAT, header.fingerprint):
                    return None
                names = (name for name in file.files if name != "facts")
                arrays = {name: _wide(name, file[name]) for name in names}  # one of them in half
        kept = facts["tokenizer"]["kept"]
        words = Words(
            arrays=arrays,
            tokenizer=Tokenizer(facts["tokenizer"]["context"], kept and tuple(kept)),
            heads=facts["heads"],
            activation=facts["activation"],
            max_words=facts["max_words"],
        )
        tried = words.encode_texts(["a"])
        origin = str(facts["origin"])
    except Exception:  # what zipfile and NumPy make of a damaged file is anyone's guess
        return None
    is_usable = tried.shape == (1, header.features) and np.isfinite(tried).all()
    return KeptWords(words, origin) if is_usable else None


def _is_stored(raw: object) -> bool:
    """Whether nothing is compressed: what is read is then no more than the file holds."""
    with zipfile.ZipFile(raw) as archive:  # type: ignore[call-overload]
        return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def _smallest(array: NDArray[np.float32]) -> NDArray[np.float16] | NDArray[np.float32]:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    rows = zip(half, array, strict=True)  # a whole one in fp32 would be the most memory of all
    return half if all(np.array_equal(a.astype(np.float32), b) for a, b in rows) else array


def _wide(name: str, array: NDArray[np.float16] | NDArray[np.float32]) -> NDArray[np.float32]:
    if array.dtype not in (np.float16, np.float32):
        raise ValueError(f"{name} is {array.dtype}")
    if name == "token_embedding.weight":  # a query takes a few rows of it
        return array  # type: ignore[return-value]
    return array.astype(np.float32, copy=False)
