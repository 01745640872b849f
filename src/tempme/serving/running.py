"""Run the application on uvicorn, behind a protocol that drops clients which hold it up."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from tempme.errors import BadSetting
from tempme.index import Index
from tempme.serving.app import create_app
from tempme.serving.patience import patient
from tempme.serving.settings import ServeSettings

GRACE_SECONDS = 5


class Server(uvicorn.Server):
    """Tells the address once it listens; a port that is taken is an error for people."""

    def __init__(self, config: uvicorn.Config, *, on_start: Callable[[str], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell where."""
        await super().startup(sockets)
        if self.started:
            self._on_start(self.address)

    @property
    def address(self) -> str:
        """Where a browser on this machine finds it."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def server_of(
    index: Index, settings: ServeSettings, *, on_start: Callable[[str], None] = lambda _: None
) -> Server:
    """A server that is not yet running; its `run` blocks. BadSetting if the port is taken."""
    _check_free(settings)
    limits = settings.limits
    config = uvicorn.Config(
        create_app(index, settings),
        host=settings.host,
        port=settings.port,
        http=patient(limits),
        ws="none",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        log_level="warning",
        access_log=False,
        lifespan="on",
    )
    return Server(config, on_start=on_start)


def _check_free(settings: ServeSettings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((settings.host, settings.port))
        except OSError as error:
            raise BadSetting(
                f"cannot listen at {settings.host}, port {settings.port}: {error.strerror}; "
                "--port takes another, 0 any that is free"
            ) from error
