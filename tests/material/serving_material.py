"""A service over a small index, in this process or behind a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from index_material import ColourRetriever, new_index, write_video
from tempme.index import Index
from tempme.serving.running import server_of
from tempme.serving.settings import ServeSettings

TOKEN = "a-token-of-enough-letters"
ASKS = b"GET /v1/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


def colour_index(folder: Path) -> tuple[Index, Path]:
    """An index of four videos, one of which browsers cannot play, and one broken file."""
    films = folder / "films"
    (films / "more").mkdir(parents=True)
    write_video(films / "red.mp4", ["red"], codec="libx264")
    write_video(films / "green blue.mp4", ["green", "blue"], seconds=6)
    write_video(films / "more" / "yellow \N{CLAPPER BOARD}.mkv", ["yellow"], seconds=4)
    write_video(films / "more" / "white.mp4", ["white"], codec="libx264")
    (films / "more" / "bad.mp4").write_bytes(b"\0" * 5000)
    index = new_index(folder, ColourRetriever())
    index.add(films)
    return index, films


def index_with_two_moments(folder: Path) -> Index:
    """Of a video that is red twice, and of one that always is."""
    films = folder / "films"
    films.mkdir()
    write_video(films / "twice.mp4", ["red", "green", "red", "blue"], seconds=12, codec="libx264")
    write_video(films / "always.mp4", ["red"], seconds=4, codec="libx264")
    index = new_index(folder, ColourRetriever())
    index.add(films)
    return index


def hits_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["hits"]
    return hits


@contextlib.contextmanager
def listening(index: Index, settings: ServeSettings) -> Iterator[str]:
    """The address of a running service."""
    server = server_of(index, settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    assert server.started, "the service did not start"
    try:
        yield server.address
    finally:
        server.should_exit = True
        thread.join(30)


def wait_for(what: Any, *, seconds: float = 30.0) -> Any:
    """The first true value of `what()`."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


@contextlib.contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    port = int(address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as made:
        yield made


def until_closed(connection: socket.socket) -> bytes:
    told = b""
    try:
        while part := connection.recv(1 << 16):
            told += part
    except ConnectionResetError:
        pass
    return told
