"""What a search asks of a Milvus server does not grow with what the server holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from store_kinds import NUMBERS, moments_of, on_milvus, video
from tempme.index.approximate import search_approximately
from tempme.index.search import Request, Scan
from tempme.index.stores.milvus import MilvusStore

VIDEOS, WINDOWS, K = 300, 4, 5


@pytest.mark.slow
@pytest.mark.parametrize("is_settled", [True, False])
def test_a_search_asks_for_the_moments_of_few_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_settled: bool
) -> None:
    with on_milvus(tmp_path) as make:
        store = make(f"films{next(NUMBERS)}", index_from=100)
        assert isinstance(store, MilvusStore)
        names = [f"d{number:03d}" for number in range(VIDEOS)]
        store.put(
            [
                video(f"{number % 60}/{name}.mp4", name, WINDOWS)
                for number, name in enumerate(names)
            ],
            [moments_of(name, WINDOWS) for name in names],
        )
        if is_settled:
            store.tidy()
        exact = Scan(store.gallery())
        rows: Counter[str] = Counter()
        query = type(store.server).query

        def counted(server, collection, where, fields, **how):  # type: ignore[no-untyped-def]
            found = query(server, collection, where, fields, **how)
            rows[collection] += len(found)
            return found

        monkeypatch.setattr(type(store.server), "query", counted)
        for name in names[:10]:
            feature = moments_of(name, WINDOWS).features[1:2].astype(np.float32)
            for request in (Request(k=K), Request(k=K, moments=True)):
                rows.clear()
                found = search_approximately(store, feature, request)
                assert [hit.video_id for hit in found] == [
                    hit.video_id for hit in exact.hits(feature, request)
                ]
                assert rows[store.server.moments] <= 2 * K * WINDOWS + 1
                assert rows[store.server.videos] <= 2 * K + 2
        few = Request(k=K, under=Path("/films/7"))
        assert search_approximately(store, feature, few) == exact.hits(feature, few)
        rows.clear()
        search_approximately(store, feature, few)
        # The rows of the videos are known until somebody writes.
        assert rows[store.server.videos] + rows[store.server.moments] <= 5 * (WINDOWS + 1) + 4
