"""Many searches at once: every one gets what it gets alone, whatever the others ask for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from index_material import ColourRetriever, new_index
from serving_material import colour_index
from tempme.errors import BadSetting
from tempme.index import Index
from tempme.index.moments import Moments, Video
from tempme.serving.app import create_app
from tempme.serving.settings import ServeSettings

CLIENTS = 12
ROUNDS = 3
GOOD: tuple[dict[str, Any], ...] = (
    {"query": "red"},
    {"query": "something green", "k": 2},
    {"query": "green blue", "group_by": "moment", "k": 3},
    {"query": "blue", "filters": {"min_duration_seconds": 11}},
    {"query": "white", "filters": {"min_resolution": 65}},
    {"query": "yellow", "min_confidence": "medium"},
    {"query": "red", "min_score": 0.5},
    {"parts": [{"text": "red green"}, {"text": "green", "weight": -0.9}]},
)
BAD: tuple[dict[str, Any], ...] = (
    {"query": "a dog"},  # no usable feature
    {"query": "  "},
    {"parts": [{"text": "red"}, {"text": "red", "weight": -1}]},
    {"parts": [{"moment": "0" * 32 + "-0-1"}]},
    {"query": "red", "page_token": "x"},
)


def ask(client: Any, request: dict[str, Any]) -> tuple[int, Any]:
    answer = client.post("/v1/search", json=request)
    told = answer.json()
    told.pop("seconds", None)
    return answer.status_code, told


def at_once(client: Any, requests: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda request: ask(client, request), requests))


def test_searches_at_once_get_what_each_gets_alone(client: Any) -> None:
    alone = [ask(client, request) for request in (*GOOD, *BAD)]
    assert [status for status, _ in alone[: len(GOOD)]] == [200] * len(GOOD)
    assert {status for status, _ in alone[len(GOOD) :]} == {404, 422}
    together = at_once(client, [*GOOD, *BAD] * ROUNDS)
    assert together == alone * ROUNDS


def test_hits_are_those_of_python(tmp_path: Path) -> None:
    index, _ = colour_index(tmp_path)
    with TestClient(create_app(index, ServeSettings()), base_url="http://127.0.0.1") as client:
        queries = ["red", "green blue", "something white", "yellow"]
        for query, (status, told) in zip(
            queries, at_once(client, [{"query": q, "k": 4} for q in queries]), strict=True
        ):
            assert status == 200
            expected = [hit.as_dict() for hit in index.search(query, k=4)]
            assert [{name: hit[name] for name in expected[0]} for hit in told["hits"]] == expected


class Breaking(ColourRetriever):
    """Fails as a whole where a text is among those that it is given."""

    def encode_texts(self, texts: list[str]) -> Any:
        if any("thunder" in text for text in texts):
            raise BadSetting("thunder is more than it can take")
        return super().encode_texts(texts)


def test_a_query_that_breaks_the_model_fails_alone(tmp_path: Path) -> None:
    index = new_index(tmp_path, Breaking())
    fill(index, range(6))
    with TestClient(create_app(index, ServeSettings()), base_url="http://127.0.0.1") as client:
        queries = ["red", "blue thunder", "green", "white", "red thunder", "yellow"] * ROUNDS
        # No query twice: words that are remembered are not encoded.
        requests = [{"query": f"{query} {n}"} for n, query in enumerate(queries)]
        for query, (status, told) in zip(queries, at_once(client, requests), strict=True):
            if "thunder" in query:
                assert (status, told["detail"]) == (422, "thunder is more than it can take")
            else:
                assert (status, len(told["hits"])) == (200, 6)


def fill(index: Index, numbers: Iterator[int] | range) -> None:
    """Contents of three moments each, as another process writes them."""
    width = index.retriever.feature_size
    for number in numbers:
        features = np.abs(np.random.default_rng(number).standard_normal((3, width)))
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        spans = np.array([[0.0, 4.0], [4.0, 8.0], [8.0, 12.0]])
        moments = Moments(f"{number:032x}", spans, features.astype(np.float16))
        path = index.path.parent / f"{number}.mp4"
        row = Video(path, moments.digest, 1, 1, duration_seconds=12.0, num_moments=3)
        index._store.put([row], [moments])


@pytest.mark.slow
def test_searches_go_on_while_another_process_writes(tmp_path: Path) -> None:
    """Each sees one state of the index; who asks after a write sees what was written."""
    served = new_index(tmp_path, ColourRetriever())
    fill(served, range(4))
    other = Index.open(served.path, retriever=ColourRetriever())
    is_over, seen, wrong = threading.Event(), [], []
    words = itertools.count()

    def keep_asking(client: Any) -> None:
        last = 0
        while not is_over.is_set():
            status, told = ask(client, {"query": f"red {next(words)}", "k": 100})
            count = len(told["hits"]) if status == 200 else -1
            if count < last or any(not hit["moments"] for hit in told.get("hits", [])):
                wrong.append((status, told))
            last = count
            seen.append(count)

    with TestClient(create_app(served, ServeSettings()), base_url="http://127.0.0.1") as client:
        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(keep_asking, client) for _ in range(4)]
            try:
                for number in range(4, 24):
                    fill(other, range(number, number + 1))
                    status, told = ask(client, {"query": "red", "k": 100})
                    assert (status, len(told["hits"])) == (200, number + 1)
            finally:
                is_over.set()
            for one in asking:
                one.result()
        other.forget([other.path.parent / f"{number}.mp4" for number in range(12)])
        assert len(ask(client, {"query": "red", "k": 100})[1]["hits"]) == 12
    assert not wrong
    assert seen
