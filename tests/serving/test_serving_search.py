"""Searches over HTTP: every kind of query, filters, groups, pages."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from index_material import write_video
from serving_material import hits_of
from tempme.index import Hit


def ask(client: Any, **request: Any) -> Any:
    return client.post("/v1/search", json=request)


def upload(client: Any, content: bytes, **request: Any) -> Any:
    form = {"request": json.dumps(request)}
    return client.post("/v1/search", files={"file": ("x.bin", content)}, data=form)


def png(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(out, "PNG")
    return out.getvalue()


def test_words_find_moments_with_the_names_of_python(client: Any, films: Path) -> None:
    hits = hits_of(ask(client, query="something green", k=2))
    assert hits[0]["path"] == str(films / "green blue.mp4")
    assert len(hits) == 2
    names = set(Hit(films, 0.0, 1.0, 0.5, "a").as_dict())
    assert names <= hits[0].keys()
    assert hits[0]["name"] == "green blue.mp4"


def test_hits_are_moments_or_videos_with_their_moments(client: Any) -> None:
    moments = hits_of(ask(client, query="green blue", k=50, group_by="moment"))
    videos = hits_of(ask(client, query="green blue", k=50))
    assert len(videos) == 4 == len({hit["video_id"] for hit in moments})
    assert len(moments) == 4  # neighbours that show the same are one moment
    inside = videos[0]["moments"]
    assert [m["score"] for m in inside] == sorted((m["score"] for m in inside), reverse=True)
    assert inside[0]["moment_id"] == videos[0]["moment_id"]


def test_a_moment_a_picture_and_a_video_are_queries(client: Any, tmp_path: Path) -> None:
    white = hits_of(ask(client, query="white", k=1))[0]
    like = hits_of(ask(client, parts=[{"moment": white["moment_id"]}], k=1))[0]
    assert (like["video_id"], like["score"]) == (white["video_id"], pytest.approx(1, abs=1e-3))
    green = upload(client, png((30, 180, 40)), k=1)
    assert hits_of(green)[0]["name"] == "green blue.mp4"
    assert green.json()["upload"]["kind"] == "picture"
    video = write_video(tmp_path / "q.mp4", ["yellow"])
    yellow = upload(client, video.read_bytes(), k=1)
    assert hits_of(yellow)[0]["name"].startswith("yellow")
    assert yellow.json()["upload"]["kind"] == "video"
    again = ask(client, parts=[{"upload": yellow.json()["upload"]["id"]}], k=1)
    assert hits_of(again) == hits_of(yellow)


def test_weights_say_what_is_wanted_and_what_not(client: Any) -> None:
    plain = hits_of(ask(client, query="red green", k=4))
    less = [{"text": "red green"}, {"text": "green", "weight": -0.9}]
    turned = hits_of(ask(client, parts=less, k=4))
    assert turned[0]["name"] == "red.mp4"
    green = next(hit for hit in plain if hit["name"].startswith("green"))
    assert next(h for h in turned if h["name"] == green["name"])["score"] < green["score"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"folder": "more"}, {"white.mp4", "yellow \N{CLAPPER BOARD}.mkv"}),
        ({"min_duration_seconds": 11}, {"green blue.mp4"}),
        ({"max_duration_seconds": 3}, {"red.mp4", "white.mp4"}),
        ({"min_resolution": 65}, set()),
        ({"changed_before": 1000}, set()),
        ({"video_ids": ["0" * 32]}, set()),
        ({}, {"red.mp4", "green blue.mp4", "white.mp4", "yellow \N{CLAPPER BOARD}.mkv"}),
    ],
)
def test_filters_keep_what_fits(
    client: Any, films: Path, filters: dict[str, Any], names: set[str]
) -> None:
    if "folder" in filters:
        filters = {"folder": str(films / filters["folder"])}
    answer = ask(client, query="red", k=50, filters=filters)
    assert {hit["name"] for hit in hits_of(answer)} == names
    assert answer.json()["num_videos"] == len(names)


def test_counts_of_filters_are_what_they_leave(client: Any) -> None:
    counted = client.get("/v1/facets").json()
    assert counted["total"] == 4
    for kind in ("folders", "durations", "resolutions", "dates"):
        assert kind == "folders" or sum(one["count"] for one in counted[kind]) == 4
        for one in counted[kind]:
            found = hits_of(ask(client, query="red", k=50, filters=one["filters"]))
            assert len(found) == one["count"]


def test_pages_follow_each_other(client: Any) -> None:
    whole = hits_of(ask(client, query="green blue", k=50, group_by="moment"))
    paged: list[Any] = []
    token = None
    while True:
        more = {"page_token": token} if token else {}
        answer = ask(client, query="green blue", k=2, group_by="moment", **more)
        paged += hits_of(answer)
        token = answer.json()["next_page_token"]
        if token is None:
            break
    assert paged == whole
    first = ask(client, query="green blue", k=2, group_by="moment").json()["next_page_token"]
    other = ask(client, query="red", k=2, page_token=first)
    assert (other.status_code, other.json()["type"]) == (422, "urn:tempme:problem:other-search")


def test_words_that_the_model_makes_nothing_of_are_said(client: Any) -> None:
    assert "no usable feature" in ask(client, query="a dog").json()["detail"]
    assert ask(client, query="a red dog").json()["note"] == ""


def test_confidence_is_a_level_and_a_filter(client: Any) -> None:
    every = hits_of(ask(client, query="green blue", k=50, group_by="moment"))
    assert {hit["confidence"] for hit in every} <= {"high", "medium", "low", "none"}
    sure = hits_of(ask(client, query="green blue", k=50, group_by="moment", min_confidence="low"))
    assert sure == [hit for hit in every if hit["confidence"] != "none"]
    levels = client.get("/v1/status").json()["levels"]
    assert levels == {"high": 0.01, "medium": 0.05, "low": 0.2}


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ({}, 422, "nothing to look for"),
        ({"query": "  "}, 422, "the query is empty"),
        ({"query": "red", "k": 0}, 422, "k: "),
        ({"query": "red", "kk": 1}, 422, "kk"),
        ({"query": "x" * 2001}, 422, "query"),
        ({"parts": [{"text": "red", "moment": "a"}]}, 422, "moment"),
        ({"parts": [{}]}, 422, "exactly one"),
        ({"parts": [{"text": "red", "weight": -1}]}, 422, "above 0"),
        ({"parts": [{"text": "red"}, {"text": "red", "weight": -1}]}, 422, "cancel out"),
        ({"parts": [{"upload": "gone"}]}, 404, "no longer kept"),
        ({"parts": [{"upload": "file"}]}, 422, "no file came along"),
        ({"parts": [{"moment": "0" * 32 + "-0-1"}]}, 404, "no moment"),
        ({"query": "red", "page_token": "x"}, 422, "page token"),
    ],
)
def test_a_search_that_cannot_be_says_why(
    client: Any, request_: dict[str, Any], status: int, said: str
) -> None:
    answer = ask(client, **request_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert said in told["detail"]
    assert told["status"] == status
    assert {"type", "title", "instance"} <= told.keys()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"not a film", "not a video or picture"),
        (png((1, 2, 3))[:60], "not a video or picture"),
    ],
)
def test_uploads_that_are_nothing_are_refused(client: Any, content: bytes, said: str) -> None:
    answer = upload(client, content)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


def test_a_picture_that_would_burst_is_refused_undecoded(client: Any) -> None:
    out = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(out, "PNG")
    assert len(out.getvalue()) < 100_000
    answer = upload(client, out.getvalue())
    assert answer.status_code == 422
    assert "pixels" in answer.json()["detail"]


def test_bodies_of_other_kinds_are_refused(client: Any) -> None:
    kinds = {"Content-Type": "text/plain"}
    assert client.post("/v1/search", content=b"red", headers=kinds).status_code == 415
    json_ = {"Content-Type": "application/json"}
    assert client.post("/v1/search", content=b"{", headers=json_).status_code == 422
    form = {"Content-Type": "multipart/form-data"}
    assert client.post("/v1/search", content=b"--x", headers=form).status_code == 400
