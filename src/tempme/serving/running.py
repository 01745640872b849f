"""Run the application on uvicorn, which is told to drop clients that never finish a request."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tempme.index import Index
from tempme.serving.app import create_app
from tempme.serving.settings import ServeSettings

GRACE_SECONDS = 5


def server_of(index: Index, settings: ServeSettings) -> uvicorn.Server:
    """A server that is not yet running; its `run` blocks."""
    limits = settings.limits
    config = uvicorn.Config(
        create_app(index, settings),
        host=settings.host,
        port=settings.port,
        http=_protocol(limits.header_seconds),
        ws="none",
        limit_concurrency=limits.connections,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        log_level="warning",
        access_log=False,
        lifespan="on",
    )
    return uvicorn.Server(config)


def _protocol(header_seconds: float) -> type[H11Protocol]:
    class Patient(H11Protocol):
        """HTTP/1.1 whose clients have so long for the head of their first request."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._clock: asyncio.TimerHandle = self.loop.call_later(header_seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._clock.cancel()
            super().connection_lost(exc)

        def _give_up(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return Patient
