"""What stands before every request: who may ask, from where, how much and how slowly."""

from __future__ import annotations

import asyncio
import hmac
import json
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tempme.serving.problems import MEDIA_TYPE, Problem, document, response
from tempme.serving.settings import ServeSettings

COOKIE = "tempme-token"
# What a browser may load without a token: the page that asks for it.
OPEN = ("/", "/favicon.ico", "/v1/ready", "/v1/session")
OPEN_FOLDER = "/page/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CLOSE = {"Connection": "close"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """An ASGI application around another one: refuses first, then passes on."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the limits of the service on body and time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send = _with_headers(send)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            status, kind, detail, more = refusal
            await response(status, detail, kind=kind, headers=more)(scope, receive, send)
            return
        body = _Body(receive, most=self._most(scope, headers), settings=self._settings)
        await self._app(scope, body.receive, send)

    def _refusal(
        self, scope: Scope, headers: Headers
    ) -> tuple[int, str, str, dict[str, str]] | None:
        if not self._is_named(headers.get("host", "")):
            return (
                421,
                "unknown-host",
                "the service is not known by this name: use 127.0.0.1, or start it with --name",
                {},
            )
        if not _is_same_origin(scope, headers):
            return 403, "foreign-origin", "a page of another origin may not use the service", {}
        if not self._is_known(scope, headers):
            return (
                401,
                "no-token",
                "the service needs its token: send it as `Authorization: Bearer TOKEN`, or sign "
                "in on the page",
                {"WWW-Authenticate": "Bearer"},
            )
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy in front may take the one, the server the other, and see another request.
            return 400, "two-lengths", "the request states its length in two ways", CLOSE
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most(scope, headers):
            return 413, "too-large", self._too_large(scope, headers), CLOSE
        return None

    def _is_named(self, host: str) -> bool:
        """Whether the Host header is one of ours: a foreign name that leads here is an attack."""
        if self._settings.is_open_to_any_name:
            return bool(host)
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and name.lower() in self._settings.names

    def _is_known(self, scope: Scope, headers: Headers) -> bool:
        token, path = self._settings.token, scope["path"]
        if not token or path in OPEN or path.startswith(OPEN_FOLDER):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return is_token(given.strip(), token)

    def _most(self, scope: Scope, headers: Headers) -> int:
        limits = self._settings.limits
        is_upload = headers.get("content-type", "").startswith("multipart/form-data")
        is_search = scope["path"] == "/v1/search"
        return limits.upload_bytes if is_upload and is_search else limits.body_bytes

    def _too_large(self, scope: Scope, headers: Headers) -> str:
        most = self._most(scope, headers)
        return f"the request is too large: at most {most:,} bytes; cut the video, or shrink it"


def is_token(given: str, token: str) -> bool:
    """Whether they are equal, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(given.encode(), token.encode())


def _is_same_origin(scope: Scope, headers: Headers) -> bool:
    """Whether no page of another origin sends this.

    A browser says where a request comes from; other programs say nothing, and may. Reading is
    kept to the own page by the resource policy, so only what changes something is refused here,
    and whatever a foreign page would embed.
    """
    site = headers.get("sec-fetch-site", "")
    is_reading = scope["method"] in SAFE
    if site in ("cross-site", "same-site"):
        return is_reading and headers.get("sec-fetch-mode") == "navigate"
    origin = headers.get("origin")
    if origin is None or is_reading:
        return True
    return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


class _Body:
    """The body of a request while it comes in: not too much of it, and not too slowly.

    What is too much is a Problem, raised where the application reads on.
    """

    def __init__(self, receive: Receive, *, most: int, settings: ServeSettings) -> None:
        self._receive, self._most, limits = receive, most, settings.limits
        self._seconds, self._stall = limits.body_seconds, limits.stall_seconds
        self._end = asyncio.get_running_loop().time() + self._seconds
        self._size = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """The next part."""
        if self._is_whole:  # what may still come is word that the client has left
            return await self._receive()
        stalled = asyncio.get_running_loop().time() + self._stall
        try:
            async with asyncio.timeout_at(min(self._end, stalled)):
                message = await self._receive()
        except TimeoutError:
            said = (
                f"nothing more of the request came for {self._stall:g} s"
                if stalled < self._end
                else f"the request was not whole after {self._seconds:g} s"
            )
            raise Problem(408, "too-slow", f"{said}: try again", headers=CLOSE) from None
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._most:
            raise Problem(413, "too-large", f"the request is over {self._most:,} bytes")
        return message


def _with_headers(send: Send) -> Send:
    """Add what every answer has; an error that is plain text becomes a problem document."""
    plain: Message | None = None

    async def adding(message: Message) -> None:
        nonlocal plain
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            is_text = headers.get("content-type", "text/plain").startswith("text/plain")
            if message["status"] >= 400 and is_text:
                plain = message
                return
        elif plain is not None:
            body, start = message.get("body", b""), plain
            plain = None
            message = _told(start, body.decode("utf-8", "replace"))
            await send(start)
        await send(message)

    return adding


def _told(start: Message, said: str) -> Message:
    """The body of a problem document for an answer whose head is this."""
    status = start["status"]
    body = json.dumps(document(status, said or HTTPStatus(status).description)).encode()
    headers = MutableHeaders(scope=start)
    headers["content-type"], headers["content-length"] = MEDIA_TYPE, str(len(body))
    return {"type": "http.response.body", "body": body, "more_body": False}
