"""The reading side of an index: its moments in memory, and what they answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.index.approximate import search_approximately
from tempme.index.building.encode import Encoder
from tempme.index.confidence import Judge, Kind
from tempme.index.filtered import FilteredScans
from tempme.index.header import Header, identity
from tempme.index.judging import Judging
from tempme.index.lists.answers import sample_of
from tempme.index.lists.array_file import Unusable
from tempme.index.lists.lists import Lists
from tempme.index.lists.view import ListsView
from tempme.index.moments import Gallery, Hit
from tempme.index.search import EXACT_MOMENTS, Asked, Scan, check_queries, sample
from tempme.index.stores.store import Store


@dataclass(frozen=True, eq=False)
class _Now:
    """What a search looks at: lists, or a scan of everything, or else the store's own index."""

    num_moments: int
    view: ListsView | None = None
    scan: Scan | None = None


class Searcher:
    """Searches the store of the index in `folder`; `encoder` gives its model where it is needed.

    `is_far`: of an index that is not on this machine, and of which moments are slow to fetch.
    """

    def __init__(
        self,
        folder: Path,
        header: Header,
        store: Store,
        *,
        encoder: Callable[[], Encoder],
        is_far: bool = False,
    ) -> None:
        self._folder, self._store, self._width = folder, store, header.features
        self._is_far = is_far
        most_new = EXACT_MOMENTS if is_far else math.inf
        self._scan: tuple[str, Scan] | None = None
        self._lists = Lists(folder, store, width=header.features, most_new=most_new)
        self._filtered = FilteredScans()
        self._judging = Judging(
            folder,
            header.fingerprint,
            width=header.features,
            encoder=encoder,
            sample=self._sample,
            version=store.version,
        )

    def num_moments(self) -> int:
        """How many moments a search looks at."""
        return self._now().num_moments

    def left_out(self) -> tuple[Path, ...]:
        """The files whose moments are damaged or lost, so that no search finds them."""
        if (view := self._lists.view()) is not None:
            return view.left_out
        return () if self._store.is_large() else self._whole_scan().gallery.left_out

    def moments_of(self, video_ids: Sequence[str]) -> Gallery:
        """The moments of contents in order of time; of what the index does not have, none."""
        try:
            if (view := self._lists.view()) is not None:
                return view.of(*video_ids)
        except Unusable as error:
            self._lists.drop(error)
        if self._store.is_large():
            return self._store.gallery(sorted(set(video_ids)))
        return self._whole_scan().gallery.of(*video_ids)

    def answer_all(self, asked: Sequence[Asked]) -> list[list[Hit]]:
        """The hits of several searches, which go through the moments together."""
        for one in asked:
            check_queries(one.queries)
        now = self._now()
        if not now.num_moments:
            return [[] for _ in asked]
        judges = {one.kind: self._judge(one.kind, now) for one in asked}
        judged = [one.judged(judges[one.kind]) for one in asked]
        try:
            if now.view is not None:
                return self._filtered.answer_all(now.view, judged)
        except Unusable as error:
            self._lists.drop(error)
            now = self._now()
        if now.scan is not None:
            return now.scan.hits_of_all(judged)
        return [search_approximately(self._store, one.queries, one.request) for one in judged]

    def judge(self, kind: Kind) -> Judge:
        """What tells how sure hits are, for queries of words or of pictures."""
        return self._judge(kind, self._now())

    def settle(self) -> None:
        """After a run: what searches need besides the moments is made, so that none has to."""
        if num_moments := self.num_moments():
            self._judging.refresh(num_moments=num_moments)

    def list_here(self) -> None:
        """Bring the search lists on this machine to what a large index elsewhere holds.

        For who stays open: the first time, all of it is fetched. BadIndex where the store cannot
        be read.
        """
        from tempme.index.lists.upkeep import ListsSource, list_elsewhere

        if self._is_far and self._store.is_large():
            source = ListsSource(self._store, self._store.pieces)
            list_elsewhere(self._folder, source, width=self._width)

    def _judge(self, kind: Kind, now: _Now) -> Judge:
        return self._judging.judge(kind, num_moments=now.num_moments)

    def _now(self) -> _Now:
        """The index as it is now; asked for once a search, as a remote store takes its time."""
        if (view := self._lists.view()) is not None:
            return _Now(view.num_moments, view=view)
        if self._store.is_large():
            return _Now(self._store.num_moments())
        scan = self._whole_scan()
        return _Now(len(scan.gallery), scan=scan)

    def _whole_scan(self) -> Scan:
        """The gallery in memory, read again only when the index has changed."""
        version = f"{self._store.version()} {identity(self._folder)}"
        if self._scan is None or self._scan[0] != version:
            self._scan = (version, Scan(self._store.gallery()))
        return self._scan[1]

    def _sample(self, most: int) -> Gallery:
        try:
            if (view := self._lists.view()) is not None:
                return sample_of(view, most=most)
        except Unusable as error:
            self._lists.drop(error)
        whole = None if self._store.is_large() else self._whole_scan().gallery
        return sample(self._store, whole, most=most)
