"""HTTP/1.1 for clients of every speed: those that send or take nothing for too long are dropped."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tempme.serving.problems import MEDIA_TYPE, document, response
from tempme.serving.settings import ServeLimits

CLOSE = {"Connection": "close"}


class Patient(H11Protocol):
    """Gives so long for the head of a request, and for the next part of an answer to be taken.

    A player that is paused takes nothing either; when it goes on it asks again.
    """

    limits = ServeLimits()
    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The head of the first request is awaited; where there are too many, it is refused."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.app = response(
                503,
                f"{self.limits.connections} connections are open already: try again soon",
                kind="too-many-connections",
                headers={"Retry-After": "5", **CLOSE},
            )
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """A part of a head, or of a body, for which the application looks at the clock."""
        if self._head is None and self._is_idle():
            self._await_head()
        super().data_received(data)
        if not self._is_idle():
            _end(self._head)
            self._head = None

    def pause_writing(self) -> None:
        """The client takes less than there is for it."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken what there was."""
        _end(self._unread)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        _end(self._head)
        _end(self._unread)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read as a problem document, as everything is refused."""
        del msg
        told = document(
            400,
            "this is no HTTP/1.1, or the address and headers are too long: shorten them",
            kind="unreadable-request",
        )
        body = json.dumps(told).encode()
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), **CLOSE}
        head = h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request")
        for part in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(part))
        self.transport.close()

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.limits.header_seconds, self._give_up)

    def _is_idle(self) -> bool:
        """Whether no request is being answered: what comes is the head of the next."""
        return self.cycle is None or self.cycle.response_complete

    def _give_up(self) -> None:
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()


def _end(clock: asyncio.TimerHandle | None) -> None:
    if clock is not None:
        clock.cancel()


def patient(limits: ServeLimits) -> type[Patient]:
    """The protocol with these limits, for uvicorn to make one of each connection."""
    given = limits

    class Limited(Patient):
        """Patient within the limits of one service."""

        limits = given

    return Limited
