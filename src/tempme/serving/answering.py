"""A search from the request to the page of hits, in two stages that run beside each other.

The first makes features of what is asked for, the second finds moments and looks up what is shown
of them. Neither touches the event loop, and each takes what has come meanwhile together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tempme.errors import TempmeError
from tempme.index import Hit, Index
from tempme.index.confidence import at_least
from tempme.index.search import Asked, Request
from tempme.serving.library import Library
from tempme.serving.metrics import Metrics
from tempme.serving.pipeline import Stage
from tempme.serving.schema import SearchAnswer, SearchRequest, UploadOut
from tempme.serving.searching import (
    QueryFeatures,
    Remembered,
    Upload,
    WantedSearch,
    offset_of,
    parts_of,
    token_for,
)
from tempme.serving.showing import shown

DEEPEST = 10_000
# Searches that go through the moments together: more spare little, and the first of them waits.
TOGETHER = 8


@dataclass(frozen=True, eq=False)
class SearchOrder:
    """A request as it came, with the file that came along."""

    request: SearchRequest
    upload: Upload | None = None


@dataclass(frozen=True, eq=False)
class ReadSearch:
    """A request that was found to make sense: what it is about, and where its page begins."""

    order: SearchOrder
    wanted: WantedSearch
    request: Request
    offset: int
    num_videos: int
    note: str


@dataclass(frozen=True, eq=False)
class ReadySearch:
    """A search with its features, or without where no video is left to look at."""

    read: ReadSearch
    asked: Asked | None


class Answering:
    """The stages of the searches of a service; each is run by one thread."""

    def __init__(
        self,
        index: Index,
        library: Library,
        *,
        features: QueryFeatures,
        uploads: Remembered,
        metrics: Metrics,
    ) -> None:
        self._index, self._library, self._features = index, library, features
        self._uploads, self._metrics = uploads, metrics

    def stages(self, *, batch: int) -> tuple[Stage, Stage]:
        """From a `SearchOrder` to a `SearchAnswer`, whose `seconds` are not yet known."""
        return Stage(self._ready, batch), Stage(self._answers, min(batch, TOGETHER))

    def _ready(self, orders: Sequence[SearchOrder]) -> list[ReadySearch | Exception]:
        """The first stage: read the requests, encode their words together."""
        self._metrics.batch_size.observe(len(orders))
        read = [self._read(order) for order in orders]
        sound = [one for one in read if isinstance(one, ReadSearch) and one.num_videos]
        self._features.encode([one.wanted for one in sound])
        return [self._with_features(one) if isinstance(one, ReadSearch) else one for one in read]

    def _read(self, order: SearchOrder) -> ReadSearch | Exception:
        asked, upload = order.request, order.upload
        try:
            wanted = parts_of(asked, upload, library=self._library, uploads=self._uploads)
            notes = [self._index.retriever.unread(text) for text in wanted.texts]
            fitting = self._library.admitted(asked.filters)
            offset = offset_of(asked, upload, most=DEEPEST)
        except TempmeError as error:
            return error
        request = Request(
            k=offset + asked.k + 1,
            min_score=asked.min_score,
            moments=asked.group_by == "moment",
            paths=fitting.paths,
        )
        notes.append(upload.note if upload else "")
        note = "; ".join(dict.fromkeys(filter(None, notes)))
        return ReadSearch(order, wanted, request, offset, len(fitting.videos), note)

    def _with_features(self, read: ReadSearch) -> ReadySearch | Exception:
        if not read.num_videos:
            return ReadySearch(read, None)
        try:
            features = self._features.of(read.wanted)
        except TempmeError as error:
            return error
        return ReadySearch(read, Asked(features, read.request, read.wanted.kind))

    def _answers(self, ready: Sequence[ReadySearch]) -> Iterator[SearchAnswer]:
        """The second stage: find the moments of all, then show those of each."""
        found = iter(self._index.answer_all([one.asked for one in ready if one.asked]))
        for one in ready:
            yield self._answer(one, next(found) if one.asked else [])

    def _answer(self, ready: ReadySearch, hits: Sequence[Hit]) -> SearchAnswer:
        read, asked = ready.read, ready.read.order.request
        upload, offset = read.order.upload, read.offset
        sure = at_least(asked.min_confidence)
        hits = [hit for hit in hits if hit.confidence in sure]
        page = hits[offset : offset + asked.k]
        is_more = len(hits) > offset + asked.k and offset + asked.k <= DEEPEST
        told = None if upload is None else {"id": upload.id, "kind": upload.kind}
        return SearchAnswer(
            hits=shown(self._index, self._library, page, ready.asked) if ready.asked else [],
            confidence=hits[0].confidence if hits else "none",
            num_videos=read.num_videos,
            note=read.note,
            upload=None if told is None else UploadOut.model_validate(told),
            next_page_token=token_for(asked, upload, offset + asked.k) if is_more else None,
            seconds=0.0,
        )
