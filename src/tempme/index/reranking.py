"""The best hits looked at again: the match head of a model sees the words and the moment together.

The frames of a moment are decoded again. An index could keep what the encoder made of them, which
is what words look at, but that is 3.6 MB a moment for UMT-B/16 in half precision, 3,500 times as
much as the feature that it keeps (merged by TempMe still 0.1 MB), for the few that are looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.encode import FRAMES_PER_CALL, Encoder
from tempme.index.header import Cutting
from tempme.index.moments import Hit
from tempme.index.search import Request

if TYPE_CHECKING:
    from tempme.retriever.retriever import Retriever
    from tempme.video import Failure


@dataclass(frozen=True)
class MatchedHit(Hit):
    """A hit that was looked at again; `match` is what the match head says, higher fits better."""

    match: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON."""
        return super().as_dict() | {"match": round(self.match, 4)}


@dataclass(frozen=True)
class Again:
    """How many of the best hits are looked at again, None of them; how, and by which model.

    model: gives it; it is only asked for where something is looked at again.
    """

    rerank: int | None
    cutting: Cutting
    model: Callable[[], Encoder]

    def __post_init__(self) -> None:
        if self.rerank is not None:  # torch need not be there where nothing is asked
            from tempme.retriever.matching import check_rerank

            check_rerank(self.model(), self.rerank)

    def wider(self, request: Request) -> Request:
        """The request for as many hits as are looked at again, if these are more."""
        return replace(request, k=max(request.k, self.rerank or 0))

    def hits(self, query: str, hits: list[Hit]) -> list[Hit]:
        """The hits of `query` in their last order."""
        if self.rerank is None:
            return hits
        return reranked(self.model(), query, hits, rerank=self.rerank, cutting=self.cutting)


def reranked(
    encoder: Encoder, query: str, hits: Sequence[Hit], *, rerank: int, cutting: Cutting
) -> list[Hit]:
    """The hits, the best `rerank` of them in the order of the match head, before all others.

    Those whose file cannot be read any more come behind them, as they were; a warning says so.
    """
    import torch

    from tempme.retriever.matching import match_scores, read_texts, watch

    retriever = cast("Retriever", encoder)
    best, made = list(hits[:rerank]), list[MatchedHit]()
    at_once = max(1, FRAMES_PER_CALL // retriever.num_frames)
    with torch.inference_mode():
        words = read_texts(retriever, [query])
        for first in range(0, len(best), at_once):
            seen = _seen(retriever, best[first : first + at_once], cutting)
            if not seen:
                continue
            pixels = retriever.transform(np.stack([frames for _, frames in seen]))
            scores = match_scores(retriever, words, watch(retriever, pixels)).tolist()
            made += [
                MatchedHit(**_fields(hit), match=score)
                for (hit, _), score in zip(seen, scores, strict=True)
            ]
    made.sort(key=lambda hit: -hit.match)  # among equals, as they were
    matched = {hit.moment_id for hit in made}
    return [*made, *(hit for hit in best if hit.moment_id not in matched), *hits[rerank:]]


def _seen(
    retriever: Retriever, hits: Sequence[Hit], cutting: Cutting
) -> list[tuple[Hit, NDArray[np.uint8]]]:
    """The hits of which a file can be read, and their frames."""
    found = []
    for hit in hits:
        why = ""
        for path in hit.paths or (hit.path,):
            frames = _frames(retriever, path, hit, cutting)
            if isinstance(frames, np.ndarray):
                found.append((hit, frames))
                break
            why = why or frames.reason
        else:
            logging.getLogger("tempme").warning(
                "%s could not be looked at again: %s; it keeps its score, behind those that were",
                hit.path,
                why,
            )
    return found


def _frames(
    retriever: Retriever, path: Path, hit: Hit, cutting: Cutting
) -> NDArray[np.uint8] | Failure:
    """The frames (F, S, S, 3) of the moment, at the times at which it was cut."""
    from tempme.video import Failure, load, read_image
    from tempme.video.sampling import spread

    frames, size = retriever.num_frames, retriever.image_size
    if hit.start_seconds == hit.end_seconds:
        picture = read_image(path, size, fit=cutting.fit)
        if isinstance(picture, Failure):
            return picture
        return np.repeat(picture[None], frames, axis=0)
    reading = cutting.reading(frames=frames, size=size)
    times = spread(hit.start_seconds, hit.end_seconds, frames)
    read = load(path, reading, seconds=times)
    return read if isinstance(read, Failure) else read.pixels


def _fields(hit: Hit) -> dict[str, Any]:
    return {one.name: getattr(hit, one.name) for one in fields(hit)}
