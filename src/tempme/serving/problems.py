"""Errors on the wire: RFC 9457 problem documents that say what happened and what to do."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tempme.errors import (
    BadIndex,
    BadSetting,
    BadVideo,
    MissingExtra,
    NoNetwork,
    Stopped,
    TempmeError,
    WrongModel,
)

MEDIA_TYPE = "application/problem+json"
LONGEST_INPUT = 80

# What is wrong with the request, or with the machine, by error; the first that fits.
STATUS: dict[type[TempmeError], int] = {
    BadSetting: 422,
    BadVideo: 422,
    WrongModel: 503,
    BadIndex: 503,
    NoNetwork: 503,
    MissingExtra: 503,
    Stopped: 409,
    TempmeError: 500,
}


class Problem(TempmeError):
    """An error with the status that goes with it; `kind` names it for programs."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.headers = status, kind, headers or {}


def document(
    status: int, detail: str, *, kind: str = "", instance: str = "", **more: Any
) -> dict[str, Any]:
    """The members of RFC 9457; `kind` makes a type, without one the title says it all."""
    told = {
        "type": f"urn:tempme:problem:{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return {**told, **({"instance": instance} if instance else {}), **more}


def response(
    status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> JSONResponse:
    """The document as a response."""
    body = document(status, detail, **more)
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(TempmeError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _unforeseen)


async def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return response(
        error.status,
        str(error),
        kind=error.kind,
        instance=request.url.path,
        headers=error.headers,
    )


async def _known(request: Request, error: Exception) -> JSONResponse:
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return response(status, str(error), kind=_kind(error), instance=request.url.path)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors(), instance=request.url.path)


def invalid(errors: Any, *, instance: str) -> JSONResponse:
    """What of a request does not fit, place by place, from what pydantic says."""
    told = [{"at": _place(one["loc"]), "reason": str(one["msg"])} for one in errors]
    detail = "; ".join(f"{one['at']}: {one['reason']}" for one in told[:3])
    return response(
        422,
        f"{detail}; see /docs for what is possible",
        kind="invalid-request",
        instance=instance,
        errors=told,
    )


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = _DETAILS.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    return response(error.status_code, detail, instance=request.url.path, headers=headers)


async def _left(request: Request, error: Exception) -> JSONResponse:
    """The client has gone before its request was whole; what it is told nobody hears."""
    del error
    return response(400, "the request was cut off", kind="cut-off", instance=request.url.path)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    del error  # is in the log of the server, which knows more than a client should
    return response(
        500,
        "the service failed in a way that nobody foresaw; its log says where",
        instance=request.url.path,
    )


_DETAILS = {
    404: "there is nothing here; /docs lists what there is",
    405: "this address does not take this method; /docs lists which it takes",
}


def _kind(error: Exception) -> str:
    letters = (f"-{c.lower()}" if c.isupper() else c for c in type(error).__name__)
    return "".join(letters).removeprefix("-")


def _place(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part)[:LONGEST_INPUT] for part in loc) or "body"
