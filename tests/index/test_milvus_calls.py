"""What a search asks of a Milvus server does not grow with what the server holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lists_material import searcher
from store_kinds import NUMBERS, moments_of, on_milvus, video
from tempme.index.approximate import search_approximately
from tempme.index.lists.opened import has_lists
from tempme.index.search import Asked, Request, Scan
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


@pytest.mark.slow
def test_by_lists_on_this_machine_a_server_is_asked_for_no_moments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_milvus(tmp_path) as make:
        name = f"films{next(NUMBERS)}"
        store, other = make(name, index_from=100), make(name, index_from=100)
        assert isinstance(store, MilvusStore)
        names = [f"d{number:03d}" for number in range(VIDEOS)]
        store.put(
            [video(f"{name}.mp4", name, WINDOWS) for name in names],
            [moments_of(name, WINDOWS) for name in names],
        )
        store.tidy()
        assert has_lists(store.folder)
        searching = searcher(store)
        exact = Scan(store.gallery())
        asked: list[str] = []
        query = type(store.server).query

        def counted(server, collection, where, fields, **how):  # type: ignore[no-untyped-def]
            asked.append(collection)
            return query(server, collection, where, fields, **how)

        monkeypatch.setattr(type(store.server), "query", counted)
        feature = moments_of("d001", WINDOWS).features[:1].astype(np.float32)
        searching.answer_all([Asked(feature, Request(k=1), "visual")])  # opens the lists
        for name in names[:5]:
            features = moments_of(name, WINDOWS).features[1:3].astype(np.float32)
            features /= np.linalg.norm(features, axis=1, keepdims=True)
            for request in (Request(k=K), Request(k=K, moments=True)):
                asked.clear()
                (found,) = searching.answer_all([Asked(features, request, "visual")])
                assert asked.count(store.server.moments) == 0
                assert asked == [store.server.videos]
                wanted = exact.hits(features, request)
                assert [hit.score for hit in found] == pytest.approx(
                    [hit.score for hit in wanted], abs=2e-6
                )
        other.put([video("new.mp4", "new", WINDOWS)], [moments_of("new", WINDOWS)])
        feature = moments_of("new", WINDOWS).features[:1].astype(np.float32)
        (found,) = searching.answer_all([Asked(feature, Request(k=1), "visual")])
        assert found[0].video_id == "new"
