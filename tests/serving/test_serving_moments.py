"""A video in which the same is to be seen twice: hits, their moments, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving_material import hits_of, index_with_two_moments
from tempme.serving.app import create_app
from tempme.serving.settings import ServeSettings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    index = index_with_two_moments(tmp_path_factory.mktemp("twice"))
    with TestClient(create_app(index, ServeSettings()), base_url="http://127.0.0.1") as made:
        yield made


def search(client: Any, **request: Any) -> list[dict[str, Any]]:
    return hits_of(client.post("/v1/search", json=request))


def test_a_video_comes_once_with_its_distinct_moments(client: Any) -> None:
    twice, always = sorted(search(client, query="red"), key=lambda hit: -len(hit["moments"]))
    assert (twice["name"], always["name"]) == ("twice.mp4", "always.mp4")
    first, second = sorted(twice["moments"], key=lambda m: float(m["start_seconds"]))
    assert first["end_seconds"] <= 13  # red is from 0 to 12, and from 24 to 36
    assert second["start_seconds"] >= 21
    assert twice["moment_id"] == twice["moments"][0]["moment_id"]
    assert [m["moment_id"] for m in always["moments"]] == [always["moment_id"]]


@pytest.mark.slow
def test_moments_come_apart_and_each_of_them_can_be_used(client: Any) -> None:
    hits = search(client, query="red", group_by="moment", min_score=0.5)
    red = [hit for hit in hits if hit["name"] == "twice.mp4"]
    spans = sorted((hit["start_seconds"], hit["end_seconds"]) for hit in red)
    assert len(spans) == 2
    assert spans[0][1] < spans[1][0]
    for hit in hits:
        at = f"/v1/moments/{hit['moment_id']}"
        assert client.get(f"{at}/thumbnail").headers["content-type"] == "image/jpeg"
        assert client.get(f"{at}/clip").headers["content-type"] == "video/mp4"
        like = search(client, parts=[{"moment": hit["moment_id"]}], k=2)
        assert {one["name"] for one in like} == {"twice.mp4", "always.mp4"}
        assert min(one["score"] for one in like) > 0.9


def test_the_strip_has_the_best_of_distinct_moments(client: Any) -> None:
    twice = next(hit for hit in search(client, query="red") if hit["name"] == "twice.mp4")
    told = client.get(f"/v1/videos/{twice['video_id']}/similarity", params={"q": "red"}).json()
    assert told["best"] == twice["moments"]
    assert {m["moment_id"] for m in told["best"]} <= {m["moment_id"] for m in told["moments"]}


@pytest.mark.parametrize("start", ["1", "0"])
def test_a_span_that_no_moments_make_up_is_no_moment(client: Any, start: str) -> None:
    twice = next(hit for hit in search(client, query="red") if hit["name"] == "twice.mp4")
    answer = client.get(f"/v1/moments/{twice['video_id']}-{start}-3999/thumbnail")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:tempme:problem:no-such-moment")


def test_a_strip_of_too_many_parts_says_so(client: Any) -> None:
    twice = next(hit for hit in search(client, query="red") if hit["name"] == "twice.mp4")
    many = "[" + ",".join(['{"text":"red"}'] * 17) + "]"
    answer = client.get(f"/v1/videos/{twice['video_id']}/similarity", params={"parts": many})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:tempme:problem:unclear-part")
