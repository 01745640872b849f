"""Whom the service answers, and what it refuses."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from index_material import ColourRetriever, new_index
from serving_material import TOKEN, colour_index, hits_of, listening
from tempme.errors import BadSetting
from tempme.serving.app import create_app
from tempme.serving.settings import ServeLimits, ServeSettings


def test_beyond_the_loopback_a_token_is_needed() -> None:
    with pytest.raises(BadSetting, match=r"host is 0\.0\.0\.0.*token"):
        ServeSettings(host="0.0.0.0")
    with pytest.raises(BadSetting, match="at least 16"):
        ServeSettings(host="0.0.0.0", token="short")
    with pytest.raises(BadSetting, match="port is 70000"):
        ServeSettings(port=70000)
    with pytest.raises(BadSetting, match=r"limits\.batch is 0"):
        ServeLimits(batch=0)
    with pytest.raises(BadSetting, match="no such folder"):
        ServeSettings(roots=(Path("/nowhere/at/all"),))
    with pytest.raises(BadSetting, match="watch needs folders"):
        ServeSettings(watch=True)
    assert ServeSettings(host="0.0.0.0", token=TOKEN).token == TOKEN


@pytest.mark.slow
def test_the_token_opens_everything_and_is_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    index = new_index(tmp_path, ColourRetriever())
    settings = ServeSettings(host="0.0.0.0", token=TOKEN)
    with TestClient(create_app(index, settings), base_url="http://box.example:8000") as client:
        for path in ("/v1/status", "/v1/videos", "/metrics", "/openapi.json", "/docs"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/").status_code == 200
        assert client.get("/page/app.js").status_code == 200
        for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Bearer \u00fc"):
            headers = {"Authorization": wrong.encode()}
            assert client.get("/v1/status", headers=headers).status_code == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/v1/status", headers=right).status_code == 200
        assert client.post("/v1/session", json={"token": "no"}).status_code == 401
        signed = client.post("/v1/session", json={"token": TOKEN})
        assert signed.status_code == 204
        assert {"httponly", "samesite=strict"} <= {
            part.strip().lower() for part in signed.headers["set-cookie"].split(";")
        }
        assert client.get("/v1/status").status_code == 200  # by the cookie
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_a_foreign_name_that_leads_here_is_refused(client: Any, host: str) -> None:
    answer = client.get("/v1/status", headers={"Host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:99", "[::1]:8000"])
def test_names_of_this_machine_are_known(client: Any, host: str) -> None:
    assert client.get("/v1/jobs", headers={"Host": host}).status_code == 200


def test_pages_of_other_origins_change_nothing(client: Any) -> None:
    foreign = (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    )
    for headers in foreign:
        answer = client.post("/v1/index", json={}, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (
            403,
            "urn:tempme:problem:foreign-origin",
        )
    own = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert hits_of(client.post("/v1/search", json={"query": "red"}, headers=own))
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/v1/status", headers=embedded).status_code == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200


def test_every_answer_has_the_headers_that_keep_it_here(client: Any) -> None:
    for path in ("/", "/v1/status", "/v1/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"


def test_large_bodies_are_refused_whether_they_say_so_or_not(tmp_path: Path) -> None:
    limits = ServeLimits(body_bytes=1000, upload_bytes=5000)
    index = new_index(tmp_path, ColourRetriever())
    app = create_app(index, ServeSettings(limits=limits))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        said = client.post("/v1/search", content=b" " * 1001)
        assert said.status_code == 413
        files = {"file": ("a.png", b"x" * 6000)}
        assert client.post("/v1/search", files=files).status_code == 413
        unsaid = client.post(
            "/v1/search",
            content=(b" " * 100 for _ in range(50)),
            headers={"Content-Type": "application/json"},
        )
        assert unsaid.status_code == 413


@pytest.mark.slow
def test_slow_clients_are_dropped(tmp_path: Path) -> None:
    index, _ = colour_index(tmp_path)
    limits = ServeLimits(header_seconds=0.6, body_seconds=0.6)
    with listening(index, ServeSettings(port=0, limits=limits)) as address:
        port = int(address.rsplit(":", 1)[1])
        for begun in (
            b"GET /v1/ready HTT",
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
                slow.sendall(begun)
                start = time.monotonic()
                told = b""
                while part := slow.recv(4096):
                    told += part
                    if b"too-slow" in told:
                        break
                assert time.monotonic() - start < 15
                assert not told or b" 408 " in told


@pytest.mark.slow
def test_only_files_of_the_index_are_served(tmp_path: Path) -> None:
    index, films = colour_index(tmp_path)
    secret = tmp_path / "secret.mp4"
    secret.write_bytes((films / "red.mp4").read_bytes())
    with TestClient(create_app(index, ServeSettings()), base_url="http://127.0.0.1") as client:
        videos = {v["name"]: v["video_id"] for v in client.get("/v1/videos").json()["videos"]}
        red, white = videos["red.mp4"], videos["white.mp4"]
        assert client.get(f"/v1/videos/{red}/stream").status_code == 200
        (films / "red.mp4").unlink()
        (films / "red.mp4").symlink_to(secret)
        gone = client.get(f"/v1/videos/{red}/stream")
        assert (gone.status_code, gone.json()["type"]) == (410, "urn:tempme:problem:file-gone")
        (films / "more" / "white.mp4").write_bytes(b"something else")
        assert client.get(f"/v1/videos/{white}/stream").status_code == 410
        for path in (
            "/page/../app.py",
            "/page/%2e%2e/app.py",
            "/page/..%2fapp.py",
            "/page//etc/passwd",
            "/v1/videos/..%2f..%2fetc%2fpasswd/stream",
            f"/v1/videos/{'0' * 32}/stream",
        ):
            assert client.get(path).status_code in (404, 422), path


def test_only_folders_below_the_roots_are_indexed(client: Any, films: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = films / "way out"
    link.symlink_to(tmp_path / "elsewhere")
    try:
        for path in ("/", "/etc", str(films / ".." / ".."), str(tmp_path), str(link), "relative"):
            answer = client.post("/v1/index", json={"paths": [path]})
            assert (answer.status_code, answer.json()["type"]) == (
                403,
                "urn:tempme:problem:outside-roots",
            )
    finally:
        link.unlink()
    missing = client.post("/v1/index", json={"paths": [str(films / "nowhere")]})
    assert missing.status_code == 422
