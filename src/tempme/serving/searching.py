"""From what a request asks for to hits: words, pictures, moments, and what is not wanted."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadSetting
from tempme.index import Index
from tempme.index.building.encode import encode_queries, why_unusable
from tempme.index.confidence import Kind
from tempme.serving.library import Library
from tempme.serving.problems import Problem
from tempme.serving.schema import QueryPart, SearchRequest

Floats = NDArray[np.float32]
SHORTEST = 1e-3


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture or video that was searched by: its features (Q, D); a note if it was cut short."""

    id: str
    kind: str
    features: Floats
    note: str = ""


@dataclass(frozen=True)
class WantedSearch:
    """What is looked for: features, or words that are not yet encoded, with weights."""

    parts: tuple[tuple[str | Floats, float], ...]
    kind: Kind

    @property
    def texts(self) -> tuple[str, ...]:
        """The words in it."""
        return tuple(part for part, _ in self.parts if isinstance(part, str))


class Remembered:
    """The newest values by key, at most `most` of them. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, Floats | Upload] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Floats | Upload | None:
        """The value, which counts as new again."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: Floats | Upload) -> None:
        """Keep it; the oldest has to go when there are too many."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)


class QueryFeatures:
    """What searches look for, as features; encodes each text once while it is remembered."""

    def __init__(self, index: Index, *, cached: int) -> None:
        self._index = index
        self._texts = Remembered(cached)

    def encode(self, batch: Sequence[WantedSearch]) -> None:
        """Encode all texts of these searches that are not remembered, together."""
        parts = (part for wanted in batch for part, _ in wanted.parts)
        texts = dict.fromkeys(p for p in parts if isinstance(p, str) and self._texts.get(p) is None)
        for text, row in zip(texts, self._encoded(list(texts)), strict=True):
            self._texts.put(text, row[None])

    def of(self, wanted: WantedSearch) -> Floats:
        """One row, or the windows of a video that is all that is wanted: (Q, D), unit rows."""
        rows = [(self._of(part), weight) for part, weight in wanted.parts]
        if len(rows) == 1:
            return rows[0][0]
        mixed = sum(weight * _mean(part) for part, weight in rows)
        length = float(np.linalg.norm(mixed))
        if length < SHORTEST:
            raise Problem(
                422,
                "nothing-left",
                "what is wanted and what is not cancel out: change a weight, or leave one out",
            )
        return np.asarray(mixed / length, dtype=np.float32)[None]

    def _of(self, part: str | Floats) -> Floats:
        if not isinstance(part, str):
            return part
        known = self._texts.get(part)
        features = known if isinstance(known, np.ndarray) else self._encoded([part])[0][None]
        if problem := why_unusable(features):
            raise BadSetting(
                f"the model gave no usable feature ({problem}) for this query: use other words"
            )
        return features

    def _encoded(self, texts: list[str]) -> Floats:
        return encode_queries(self._index.retriever, texts)


def parts_of(
    asked: SearchRequest, upload: Upload | None, *, library: Library, uploads: Remembered
) -> WantedSearch:
    """What is wanted, with the features of moments and uploads; Problem for what is not there."""
    given = list(asked.parts)
    if asked.query is not None:
        given.insert(0, QueryPart(text=asked.query))
    if upload is not None and not any(part.upload == "file" for part in given):
        given.append(QueryPart(upload="file"))
    if not given:
        raise Problem(422, "empty-query", "nothing to look for: write a query, or add a file")
    parts = [(_part(part, upload, library, uploads), part.weight) for part in given]
    if not any(weight > 0 for _, weight in parts):
        raise Problem(
            422,
            "nothing-wanted",
            "all of it is what you do not want: add what you look for, with a weight above 0",
        )
    is_text = all(isinstance(part, str) for part, _ in parts)
    return WantedSearch(tuple(parts), "text" if is_text else "visual")


def _part(
    part: QueryPart, upload: Upload | None, library: Library, uploads: Remembered
) -> str | Floats:
    given = [name for name in ("text", "moment", "upload") if getattr(part, name) is not None]
    if len(given) != 1:
        raise Problem(
            422, "unclear-part", "a part has exactly one of text, moment and upload; split it"
        )
    if part.text is not None:
        if not part.text.strip():
            raise Problem(422, "empty-query", "the query is empty; write what the video shows")
        return part.text.strip()
    if part.moment is not None:
        return library.feature(library.moment(part.moment))
    if part.upload == "file":
        if upload is None:
            raise Problem(422, "no-file", 'upload is "file", but no file came along')
        return upload.features
    known = uploads.get(part.upload or "")
    if not isinstance(known, Upload):
        raise Problem(
            404, "no-such-upload", "this upload is no longer kept: drop or paste the file again"
        )
    return known.features


def _mean(rows: Floats) -> Floats:
    mean = rows.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), dtype=np.float32)


def offset_of(asked: SearchRequest, upload: Upload | None, *, most: int) -> int:
    """Where the wanted page begins; Problem for a token of another search."""
    if asked.page_token is None:
        return 0
    try:
        offset, digest = json.loads(base64.urlsafe_b64decode(asked.page_token.encode()))
        is_right = digest == _digest(asked, upload) and type(offset) is int and 0 < offset <= most
    except (ValueError, TypeError):
        is_right = False
    if not is_right:
        raise Problem(
            422, "other-search", "the page token is of another search: ask without it first"
        )
    return int(offset)


def token_for(asked: SearchRequest, upload: Upload | None, offset: int) -> str:
    """The token of the page that begins there."""
    told = json.dumps([offset, _digest(asked, upload)])
    return base64.urlsafe_b64encode(told.encode()).decode()


def _digest(asked: SearchRequest, upload: Upload | None) -> str:
    told = asked.model_dump(exclude={"page_token", "k"}) | {"file": upload.id if upload else ""}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
