"""What is said to a stranger whose request cannot be read, or who is one too many."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from index_material import ColourRetriever, new_index
from serving_material import ASKS, connected, listening, until_closed, wait_for
from tempme.serving.settings import ServeLimits, ServeSettings


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    index = new_index(tmp_path_factory.mktemp("read"), ColourRetriever())
    with listening(index, ServeSettings(port=0)) as made:
        yield made


def answered(connection: socket.socket) -> bytes:
    """What comes for `ASKS`, whole, by a connection that stays."""
    connection.sendall(ASKS)
    told = b""
    while not told.endswith(b"}") and (part := connection.recv(1 << 16)):
        told += part
    return told


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /v1/ready HTTP/1.1\r\n\r\n",
        b"\0" * 100_000,
        b"GET /v1/ready?" + b"a" * 200_000,
        b"GET /v1/ready HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000,
    ],
    ids=["TLS", "no host", "nulls", "a long address", "a long header"],
)
def test_what_is_no_http_is_refused(address: str, rubbish: bytes) -> None:
    with connected(address) as odd:
        with suppress(ConnectionError):  # it may hang up before it has heard all
            odd.sendall(rubbish)
        head, _, body = until_closed(odd).partition(b"\r\n\r\n")
    if head:  # what was not read when it hung up may take the answer with it
        assert head[9:12] in (b"400", b"421")
        assert b"content-type: application/problem+json" in head.lower()
        told = json.loads(body)
        assert told["status"] == int(head[9:12])
        assert told["type"].startswith("urn:tempme:problem:")


def test_connections_beyond_their_number_are_refused_in_words(tmp_path: Path) -> None:
    limits = ServeLimits(connections=2)
    index = new_index(tmp_path, ColourRetriever())
    with listening(index, ServeSettings(port=0, limits=limits)) as address, ExitStack() as stack:
        first, second, third = (stack.enter_context(connected(address)) for _ in range(3))
        for one in (first, second):
            assert b'{"ready":' in answered(one)
        third.sendall(ASKS)
        head, _, body = until_closed(third).partition(b"\r\n\r\n")
        assert b" 503 " in head
        assert b"retry-after: 5" in head.lower()
        assert json.loads(body)["type"] == "urn:tempme:problem:too-many-connections"
        assert b'{"ready":' in answered(first)
        second.close()

        def is_welcome() -> bool:
            with connected(address) as again:
                return b'{"ready":' in answered(again)

        wait_for(is_welcome)
