"""The background of one index: made when it is indexed, kept in `confidence.npz`.

What a run leaves is a function of what the index holds, not of how it came to hold it. A search
makes a background only where there is none (an index of an earlier version) or it has become old.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tempme.atomic import replacing
from tempme.index.building.encode import Encoder, encode_queries
from tempme.index.confidence import (
    MOST_MOMENTS,
    Floats,
    Judge,
    Kind,
    judge_texts,
    judge_visuals,
    phrase_lists,
)
from tempme.index.moments import Gallery
from tempme.index.stores.arrays import read_array
from tempme.untrusted import open_regular, parsed_json

NAME = "confidence.npz"
FORMAT = 2
# An index may grow or shrink to so much before a search looks for its maxima again, or, where it is
# too large to be looked at whole, a run does: they move with the logarithm of its size.
DRIFT = 1.25
# Bytes of the facts, and phrases: more are not ours.
FACTS, MOST_PHRASES = 2**16, 2**14
# Phrases looked at to tell which list a model reads.
TRIED = 50


@dataclass(frozen=True, eq=False)
class _Judged:
    judge: Judge
    num_moments: int
    version: str

    def fits(self, num_moments: int) -> bool:
        least, most = sorted((max(1, self.num_moments), max(1, num_moments)))
        return most <= DRIFT * least


class Judging:
    """Judges of an index in `folder`; `encoder` gives its model, `sample` some of its moments."""

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        *,
        width: int,
        encoder: Callable[[], Encoder],
        sample: Callable[[int], Gallery],
        version: Callable[[], str],
    ) -> None:
        self._path = folder / NAME
        self._fingerprint, self._width = fingerprint, width
        self._encoder, self._sample, self._version = encoder, sample, version
        self._texts: Floats | None = None
        self._judged: dict[Kind, _Judged] = {}

    def judge(self, kind: Kind, *, num_moments: int) -> Judge:
        """The judge of queries of this kind while the index has so many moments."""
        known = self._known(kind)
        if known is None or not known.fits(num_moments):
            known = self._made(kind, num_moments)
        self._judged[kind] = known
        return known.judge

    def refresh(self, *, num_moments: int) -> None:
        """After a run: make anew what is of other moments than the index has now."""
        known = self._known("text")
        if known is not None and known.version == self._version():
            return
        if known is None or num_moments <= MOST_MOMENTS or not known.fits(num_moments):
            self._judged = {"text": self._made("text", num_moments)}

    def _known(self, kind: Kind) -> _Judged | None:
        return self._judged.get(kind) or (self._read() if kind == "text" else None)

    def _made(self, kind: Kind, num_moments: int) -> _Judged:
        version, sample = self._version(), self._sample(MOST_MOMENTS)
        if kind == "visual":
            judge = judge_visuals(sample, num_moments=num_moments)
            return _Judged(judge, num_moments, version)
        if self._texts is None:
            self._texts = background_of(self._encoder())
        judge = judge_texts(self._texts, sample, num_moments=num_moments)
        made = _Judged(judge, num_moments, version)
        self._write(made, self._texts)
        return made

    def _write(self, judged: _Judged, texts: Floats) -> None:
        """Keep it. Failing to is no error: the next search only starts slower."""
        judge = judged.judge
        facts = {**self._key(), "num_moments": judged.num_moments, "version": judged.version}
        facts |= {"spread": judge.spread, "size": judge.size}
        with suppress(OSError), replacing(self._path) as draft, draft.open("wb") as file:
            np.savez(
                file,
                facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
                centre=judge.centre,
                covariance=judge.covariance,
                texts=texts.astype(np.float16),
                maxima=judge.maxima,
            )

    def _read(self) -> _Judged | None:
        """What is kept, or None if it is of another model or of other phrases, or damaged."""
        try:
            with open_regular(self._path) as raw, zipfile.ZipFile(raw) as archive:
                facts = parsed_json(read_array(archive, "facts", np.uint8, (FACTS,)).tobytes())
                if {name: facts.get(name) for name in self._key()} != self._key():
                    return None
                texts = read_array(archive, "texts", np.float16, (MOST_PHRASES, self._width))
                if not np.isfinite(texts).all():
                    return None
                judge = _judge(facts, archive, self._width)
                known = _Judged(judge, int(facts["num_moments"]), str(facts.get("version", "")))
        except Exception:  # what zipfile and NumPy make of a damaged file is anyone's guess
            return None
        self._texts = texts.astype(np.float32)
        return known

    def _key(self) -> dict[str, Any]:
        said = "\n".join("\n".join(phrases) for phrases in phrase_lists())
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        return {"format": FORMAT, "fingerprint": self._fingerprint, "phrases": digest}


def _judge(facts: dict[str, Any], archive: zipfile.ZipFile, width: int) -> Judge:
    """The judge that is kept; ValueError where its numbers are none that we write."""
    judge = Judge(
        centre=read_array(archive, "centre", np.float32, (width,)),
        covariance=read_array(archive, "covariance", np.float32, (width, width)),
        maxima=read_array(archive, "maxima", np.float32, (MOST_PHRASES,)),
        spread=float(facts["spread"]),
        size=float(facts["size"]),
    )
    arrays = judge.centre, judge.covariance, judge.maxima
    is_whole = len(judge.centre) == len(judge.covariance) == width
    is_finite = all(np.isfinite(array).all() for array in arrays)
    is_possible = 0 < judge.spread < math.inf and 1 <= judge.size < math.inf
    if not (is_whole and is_finite and is_possible and (np.diff(judge.maxima) >= 0).all()):
        raise ValueError(f"{NAME} is not as it was written")
    return judge


def background_of(model: Encoder) -> Floats:
    """Features (B, D) of the phrases that come with the package, of the list that it reads best."""

    def share_read(phrases: Sequence[str]) -> float:
        return sum(not model.unread(phrase) for phrase in phrases[:TRIED]) / TRIED

    # `max` takes the first of equals: the general list for a model that reads everything.
    features = encode_queries(model, max(phrase_lists(), key=share_read))
    # Rounded as they are kept, so that a background is the same before and after.
    return features[np.isfinite(features).all(axis=1)].astype(np.float16).astype(np.float32)
