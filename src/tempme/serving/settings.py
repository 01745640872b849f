"""What a service is told when it starts: where it listens, whom it answers, what it refuses."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, fields
from pathlib import Path

from tempme.errors import BadSetting

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class ServeLimits:
    """What one request, and all of them together, may take. Sizes in bytes, times in seconds.

    stall_seconds: without anything of a body that is not whole. unread_seconds: until a client
    takes the next part of an answer. upload_seconds: from an upload that is whole to its features.
    picture_seconds, media_seconds: to make a picture, a clip. waiting: pictures or clips that may
    wait to be made. listeners: that follow jobs. quiet_seconds: after which one whose job does not
    change has to ask again.
    """

    upload_bytes: int = 200 * 1024**2
    body_bytes: int = 1024**2
    header_seconds: float = 10.0
    stall_seconds: float = 5.0
    body_seconds: float = 60.0
    unread_seconds: float = 600.0
    connections: int = 200
    listeners: int = 64
    quiet_seconds: float = 8.0
    waiting: int = 200
    image_pixels: int = 50_000_000
    upload_seconds: float = 8.0
    clip_seconds: float = 120.0
    picture_seconds: float = 30.0
    media_seconds: float = 600.0
    media_processes: int = 2
    cache_bytes: int = 1024**3
    cached_queries: int = 4096
    kept_uploads: int = 256
    batch: int = 32

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not (math.isfinite(value) and value > 0):
                raise BadSetting(f"limits.{one.name} is {value}; it has to be above 0")


@dataclass(frozen=True)
class ServeSettings:
    """How a service listens and what it serves.

    `roots`: folders that may be indexed over HTTP; without any, those in which the videos of the
    index lie. `hosts`: names by which browsers reach the service, besides the loopback ones and
    `host`. `token`: needed beyond loopback; then every request has to carry it. `cache`: where
    thumbnails and clips are kept; None is a folder in the index. `watch`: follow `roots`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    hosts: tuple[str, ...] = ()
    roots: tuple[Path, ...] = ()
    cache: Path | None = None
    watch: bool = False
    limits: ServeLimits = ServeLimits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise BadSetting(f"port is {self.port}; it is a number from 0 (any) to 65535")
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise BadSetting(
                f"the token has {len(self.token)} letters; take at least {SHORTEST_TOKEN}, such as "
                '`python -c "import secrets; print(secrets.token_urlsafe())"` prints'
            )
        if not self.token and not is_loopback(self.host):
            raise BadSetting(
                f"host is {self.host}, which other machines reach: set a token "
                "(TEMPME_TOKEN, or --token-file), or leave --host out"
            )
        if self.watch and not self.roots:
            raise BadSetting("watch needs folders: name them with --root")
        for root in self.roots:
            if not root.is_dir():
                raise BadSetting(f"no such folder: {root}; --root names a folder of videos")

    @property
    def names(self) -> frozenset[str]:
        """What a request's Host header may say, without the port, in small letters."""
        own = {self.host} if not _is_any(self.host) else set()
        return frozenset(name.lower() for name in (*LOOPBACK_NAMES, *own, *self.hosts))

    @property
    def is_open_to_any_name(self) -> bool:
        """Whether the Host header says nothing: bound to all addresses, guarded by the token."""
        return _is_any(self.host) and not self.hosts


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")
