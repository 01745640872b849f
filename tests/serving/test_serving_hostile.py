"""What strangers send: too slowly, too much, in two meanings, for others, or into the void."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import logging
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from index_material import ColourRetriever, new_index, write_video
from serving_material import (
    ASKS,
    colour_index,
    connected,
    hits_of,
    listening,
    until_closed,
    wait_for,
)
from tempme.index import Index
from tempme.serving import uploads
from tempme.serving.app import create_app
from tempme.serving.media.seeing import Seen
from tempme.serving.problems import Problem
from tempme.serving.settings import ServeLimits, ServeSettings
from tempme.serving.uploads import Uploads

POSTS = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    index, _ = colour_index(tmp_path_factory.mktemp("hasty"))
    limits = ServeLimits(header_seconds=1, stall_seconds=1, body_seconds=30, unread_seconds=1)
    with listening(index, ServeSettings(port=0, limits=limits)) as address:
        wait_for(lambda: is_ready(address))
        yield address


def is_ready(address: str) -> bool:
    with connected(address) as asking:
        asking.sendall(ASKS)
        return b" 200 " in asking.recv(100)


@pytest.mark.slow
def test_the_head_of_a_second_request_may_not_take_longer(hasty: str) -> None:
    with connected(hasty) as slow:
        slow.sendall(ASKS)
        slow.recv(100)
        slow.sendall(ASKS[:20])
        assert b"GET" not in until_closed(slow)


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun",
    [
        POSTS + b"Content-Length: 100\r\n\r\n{",
        POSTS + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        POSTS.replace(b"application/json", b"multipart/form-data; boundary=x")
        + b"Content-Length: 9000\r\n\r\n--x\r\n",
    ],
)
def test_a_body_that_stops_is_answered_and_dropped(hasty: str, begun: bytes) -> None:
    with connected(hasty) as slow:
        slow.sendall(begun)
        told = until_closed(slow)
    assert b" 408 " in told
    assert b"nothing more of the request came for 1 s" in told


@pytest.mark.slow
def test_a_client_that_takes_no_answers_is_dropped(hasty: str) -> None:
    with connected(hasty) as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asks = ASKS.replace(b"/v1/ready", b"/openapi.json") * 400
        greedy.settimeout(120)
        with suppress(ConnectionError):
            for _ in range(10_000):
                greedy.sendall(asks)
            pytest.fail("it was never dropped")
    with connected(hasty) as other:
        other.sendall(ASKS)
        assert b" 200 " in other.recv(100)


def test_a_client_that_leaves_in_the_middle_is_no_failure(
    hasty: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with connected(hasty) as hurried:
        hurried.sendall(POSTS + b"Content-Length: 100\r\n\r\n{")
        hurried.shutdown(socket.SHUT_WR)
        until_closed(hurried)
    with connected(hasty) as other:
        other.sendall(ASKS)
        assert b" 200 " in other.recv(100)
    assert not caplog.records


def test_a_request_of_two_lengths_is_refused(hasty: str) -> None:
    with connected(hasty) as sly:
        sly.sendall(POSTS + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert b"two-lengths" in until_closed(sly)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=0-0", 206),
        ("bytes=-1", 206),
        ("bytes=0-99999999999999999999", 206),
        ("bytes=0-0,2-3", 206),
        (f"bytes={','.join(f'{i}-{i}' for i in range(5000))}", 200),
        ("bytes=0-,0-,0-,0-", 206),
        ("bytes=5-2", 400),
        ("bytes=a-b", 400),
        ("lines=1-2", 400),
        ("bytes=99999999-", 416),
    ],
)
def test_ranges_of_every_kind(client: Any, asked: str, status: int) -> None:
    red = hits_of(client.post("/v1/search", json={"query": "red", "k": 1}))[0]["video_id"]
    answer = client.get(f"/v1/videos/{red}/stream", headers={"Range": asked})
    assert answer.status_code == status
    if status >= 400:
        assert answer.json()["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"
    whole = len(client.get(f"/v1/videos/{red}/stream").content)
    assert len(answer.content) < whole + 1000  # no range twice


@pytest.mark.slow
def test_listeners_are_counted_and_sent_away_when_nothing_changes(tmp_path: Path) -> None:
    index, films = colour_index(tmp_path)
    limits = ServeLimits(listeners=2, quiet_seconds=2)
    settings = ServeSettings(port=0, roots=(films,), limits=limits)
    with listening(index, settings) as address, ExitStack() as open_:
        port = int(address.rsplit(":", 1)[1])

        def ask(method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
            made = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            open_.enter_context(closing(made))
            headers = {"Content-Type": "application/json"}
            made.request(method, path, None if body is None else json.dumps(body), headers)
            return open_.enter_context(closing(made.getresponse()))

        write_video(films / "long.mp4", ["red", "green"] * 30, seconds=4)
        first = json.load(ask("POST", "/v1/index", {}))["id"]
        ask("POST", f"/v1/jobs/{first}/pause").read()
        job = json.load(ask("POST", "/v1/index", {}))["id"]
        ask("POST", f"/v1/jobs/{job}/pause").read()
        followers = [ask("GET", f"/v1/jobs/{job}/events") for _ in range(2)]
        assert [one.status for one in followers] == [200, 200]
        many = ask("GET", f"/v1/jobs/{job}/events")
        assert (many.status, json.load(many)["type"]) == (
            429,
            "urn:tempme:problem:too-many-listeners",
        )
        for one in followers:
            assert b"event: job" in one.read()  # to its end
        wait_for(lambda: ask("GET", f"/v1/jobs/{job}/events").status == 200)


@pytest.mark.slow
def test_links_are_not_followed_out_of_the_roots(tmp_path: Path) -> None:
    films, secret = tmp_path / "films", tmp_path / "secret"
    films.mkdir()
    secret.mkdir()
    write_video(films / "red.mp4", ["red"])
    write_video(secret / "blue.mp4", ["blue"])
    (films / "a.mp4").symlink_to(secret / "blue.mp4")
    (films / "folder").symlink_to(secret)
    (films / "again.mp4").symlink_to(films / "red.mp4")
    index = new_index(tmp_path, ColourRetriever())
    app = create_app(index, ServeSettings(roots=(films,)))
    with TestClient(app, base_url="http://127.0.0.1") as client:

        def run() -> dict[str, Any]:
            at = f"/v1/jobs/{client.post('/v1/index', json={}).json()['id']}"
            over = ("done", "failed")
            wait_for(lambda: client.get(at).json()["state"] in over)
            return dict(client.get(at).json())

        assert run()["state"] == "done"
        names = [video["name"] for video in client.get("/v1/videos").json()["videos"]]
        assert names == ["red.mp4"]
        films.rename(tmp_path / "moved")  # and a link in the place of the root itself
        films.symlink_to(secret)
        assert "leads out" in run()["error"]
        refused = client.post("/v1/index", json={"paths": [str(films / "blue.mp4")]})
        assert refused.status_code == 403
        assert client.get("/v1/videos").json()["total"] == 1


@pytest.mark.slow
def test_an_index_that_goes_or_becomes_another_is_not_served_from_memory(tmp_path: Path) -> None:
    index, _ = colour_index(tmp_path)
    with TestClient(create_app(index, ServeSettings()), base_url="http://127.0.0.1") as client:

        def search() -> Any:
            return client.post("/v1/search", json={"query": "red"})

        assert len(hits_of(search())) == 4
        index.path.rename(tmp_path / "away")
        assert (search().status_code, client.get("/v1/ready").status_code) == (503, 503)
        assert "is not an index" in search().json()["detail"]
        assert "tempme_index_up 0.0" in client.get("/metrics").text
        write_video(tmp_path / "white.mp4", ["white"])
        Index.create(index.path, ColourRetriever()).add(tmp_path / "white.mp4")
        assert [hit["name"] for hit in hits_of(search())] == ["white.mp4"]
        shutil.rmtree(index.path)
        other = Index.open(index.path, retriever="scenes-tiny", create=True)
        answer = search()
        assert (answer.status_code, answer.json()["type"]) == (
            503,
            "urn:tempme:problem:other-index",
        )
        job = client.post("/v1/index", json={"paths": [str(tmp_path)]})
        assert job.status_code == 503
        assert not other.videos()
        shutil.rmtree(index.path)
        (tmp_path / "away").rename(index.path)
        assert len(hits_of(search())) == 4


def test_uploads_wait_for_each_other_within_a_time(tmp_path: Path) -> None:
    made = Uploads(new_index(tmp_path, ColourRetriever()), ServeLimits(upload_seconds=0.4))

    async def second() -> None:
        async with made._a_turn():
            await made.read(io.BytesIO())

    try:
        with pytest.raises(Problem, match="other uploads") as refused:
            asyncio.run(second())
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    finally:
        made.close()


def test_of_a_video_for_which_time_is_short_some_parts_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(uploads, "monotonic", lambda: float(next(clock)))
    made = Uploads(new_index(tmp_path, ColourRetriever()), ServeLimits())
    try:
        pixels = np.full((20, 32, 32, 3), 200, np.uint8)
        seen = Seen("video", pixels, np.stack([np.arange(i, i + 4) for i in range(16)]))
        cut = made._encoded("0" * 32, seen, end=2.5)
        whole = made._encoded("0" * 32, seen, end=1e9)
    finally:
        made.close()
    assert whole.features.shape[0] == 16
    assert 2 <= cut.features.shape[0] < 16
    assert f"by {cut.features.shape[0]} of 16 parts" in cut.note
    assert not whole.note


@pytest.mark.parametrize("count", [1, 2, 7, 16, 33])
def test_parts_are_taken_ever_closer_together(count: int) -> None:
    order = [place for some in uploads._ever_closer(count, 2) for place in some]
    assert sorted(order) == list(range(count))
    gaps = np.diff(sorted(order[: (count + 1) // 2]))
    assert gaps.max(initial=1) <= 4
