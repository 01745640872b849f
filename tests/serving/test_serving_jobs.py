"""Indexing through the service: jobs, their events, pausing, cancelling, other writers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from index_material import ColourRetriever, new_index, write_video
from serving_material import colour_index, hits_of, wait_for
from tempme.index import Index
from tempme.serving.app import create_app
from tempme.serving.settings import ServeSettings


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    films = tmp_path / "films"
    films.mkdir()
    index = new_index(tmp_path, ColourRetriever())
    app = create_app(index, ServeSettings(roots=(films,)))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client, films


def job_of(client: Any, **request: Any) -> dict[str, Any]:
    answer = client.post("/v1/index", json=request)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ended(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    def over() -> Any:
        now = client.get(f"/v1/jobs/{job['id']}").json()
        return now if now["state"] in ("done", "failed", "cancelled") else None

    return dict(wait_for(over))


@pytest.mark.slow
def test_a_folder_is_indexed_and_found(service: tuple[Any, Path]) -> None:
    client, films = service
    assert client.post("/v1/search", json={"query": "red"}).json()["hits"] == []
    write_video(films / "red.mp4", ["red"])
    (films / "bad.mp4").write_bytes(b"\0" * 100)
    job = ended(client, job_of(client, paths=[str(films)]))
    assert job["state"] == "done"
    assert job["report"]["videos"] == {
        "indexed": 1,
        "unchanged": 0,
        "renamed": 0,
        "removed": 0,
        "failed": 1,
    }
    assert [hit["name"] for hit in hits_of(client.post("/v1/search", json={"query": "red"}))] == [
        "red.mp4"
    ]
    status = client.get("/v1/status").json()
    assert [Path(file["path"]).name for file in status["failed"]] == ["bad.mp4"]
    assert status["failed"][0]["reason"]
    write_video(films / "bad.mp4", ["green"])
    again = ended(client, job_of(client, paths=[str(films / "bad.mp4")], retry_failed=True))
    assert again["report"]["videos"]["indexed"] == 1
    (films / "red.mp4").unlink()
    gone = ended(client, job_of(client, prune=True))
    assert gone["report"]["videos"]["removed"] == 1


@pytest.mark.slow
def test_events_follow_a_job_to_its_end(service: tuple[Any, Path]) -> None:
    client, films = service
    for number, colour in enumerate(("red", "green", "blue")):
        write_video(films / f"{number}.mp4", [colour])
    job = job_of(client)
    answer = client.get(f"/v1/jobs/{job['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if "data:" in block]
    told = [
        json.loads(line.removeprefix("data:"))
        for block in blocks
        for line in block.splitlines()
        if line.startswith("data:")
    ]
    assert all("event: job" in block for block in blocks)
    assert told[-1]["state"] == "done"
    assert told[-1]["report"]["videos"]["indexed"] == 3
    last = int(blocks[-1].split("id:")[1].split()[0])
    late = client.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": str(last)})
    assert "data:" not in late.text


class Held(ColourRetriever):
    """Waits for a sign before it encodes, as a model does that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()

    def encode_windows(self, frames: Any, windows: Any) -> Any:
        self.may_go.wait(30)
        return super().encode_windows(frames, windows)


@pytest.mark.slow
def test_a_job_can_be_paused_resumed_and_cancelled(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for number in range(6):
        write_video(
            films / f"{number}.mp4", ["red", "green", "blue"][: 1 + number % 3], seconds=2 + number
        )
    model = Held()
    app = create_app(new_index(tmp_path, model), ServeSettings(roots=(films,)))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        job = job_of(client)
        at = f"/v1/jobs/{job['id']}"
        wait_for(lambda: client.get(at).json()["progress"])
        assert client.post(f"{at}/pause").json()["state"] == "paused"
        model.may_go.set()
        wait_for(lambda: client.get(at).json()["progress"]["done"] >= 1)
        held = client.get(at).json()["progress"]["done"]
        assert held < 6
        assert client.get("/v1/status").json()["is_indexing"] is True
        assert client.post(f"{at}/resume").json()["state"] == "running"
        assert ended(client, job)["report"]["videos"]["indexed"] == 6
        assert client.post(f"{at}/pause").status_code == 409
        model.may_go.clear()
        write_video(films / "more.mp4", ["white"])
        second, third = job_of(client), job_of(client)
        assert client.delete(f"/v1/jobs/{third['id']}").json()["state"] == "cancelled"
        client.delete(f"/v1/jobs/{second['id']}")
        model.may_go.set()
        assert ended(client, second)["state"] == "cancelled"
        assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [
            third["id"],
            second["id"],
            job["id"],
        ]
    assert client is not None


@pytest.mark.slow
def test_what_another_process_indexes_is_seen_at_once(tmp_path: Path) -> None:
    index, films = colour_index(tmp_path)
    app = create_app(index, ServeSettings())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert len(hits_of(client.post("/v1/search", json={"query": "black"}))) == 4
        write_video(films / "black.mp4", ["black"])
        Index.open(index.path, retriever=ColourRetriever()).add(films)
        best = hits_of(client.post("/v1/search", json={"query": "black"}))[0]
        assert best["name"] == "black.mp4"
        assert client.get("/v1/videos").json()["total"] == 6
        (films / "black.mp4").unlink()
        Index.open(index.path, retriever=ColourRetriever()).add(films, prune=True)
        assert client.get(f"/v1/videos/{best['video_id']}").status_code == 404


def test_an_unknown_job_is_no_job(service: tuple[Any, Path]) -> None:
    client, _ = service
    for method, path in (
        ("get", ""),
        ("get", "/events"),
        ("post", "/pause"),
        ("post", "/resume"),
        ("delete", ""),
    ):
        answer = getattr(client, method)(f"/v1/jobs/{'0' * 32}{path}")
        assert answer.status_code == 404, path
