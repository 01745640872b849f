"""Every request, counted and timed by its route."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tempme.serving.metrics import Metrics


class Measured:
    """An ASGI application around another one that notes how its requests went."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note route, status and the time to the head of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.monotonic()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Only what the application knows by name, or a client could fill the table.
                route = getattr(scope.get("route"), "path", "other")
                status = str(message["status"])
                self._metrics.requests.labels(route, scope["method"], status).inc()
                self._metrics.request_seconds.labels(route).observe(time.monotonic() - begin)
            await send(message)

        await self._app(scope, receive, noting)
