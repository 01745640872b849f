"""What the service holds, whether it is ready, how it fares; and signing in on the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi.responses import JSONResponse

from tempme.index.confidence import LEVELS
from tempme.index.moments import Video
from tempme.retriever.retriever import Retriever
from tempme.serving.guards import COOKIE, is_token
from tempme.serving.problems import Problem
from tempme.serving.schema import FailedOut, Ready, StatusOut
from tempme.serving.service import Service
from tempme.serving.showing import text_of

MONTH_SECONDS = 30 * 24 * 3600


def status_routes(service: Service) -> APIRouter:
    """The routes about the service itself."""
    router = APIRouter(tags=["service"])

    @router.get("/status")
    def status() -> StatusOut:
        """What the index holds, the model that made it, and what the service allows."""
        return _status(service)

    @router.get("/ready", responses={503: {"model": Ready}})
    def ready() -> JSONResponse:
        """Whether the model is loaded and searches are answered: 200 or 503."""
        is_ready = service.is_ready and service.library.is_there
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    @router.post("/session", status_code=204, response_class=Response)
    def session(
        token: Annotated[str, Body(embed=True, max_length=1000)],
    ) -> Response:
        """Sign in: keeps the token in a cookie that only this service gets."""
        if service.settings.token and not is_token(token, service.settings.token):
            raise Problem(401, "wrong-token", "this is not the token that the service was given")
        response = Response(status_code=204)
        if service.settings.token:
            response.set_cookie(
                COOKIE, token, max_age=MONTH_SECONDS, httponly=True, samesite="strict"
            )
        return response

    return router


def _told(video: Video) -> FailedOut:
    return FailedOut(path=text_of(video.path), status=video.status, reason=video.reason)


def _status(service: Service) -> StatusOut:
    index = service.index
    found = index.status()
    model = index.retriever
    cost = model.system.cost().gflops_paper if isinstance(model, Retriever) else None
    return StatusOut(
        path=text_of(index.path),
        version=index.version(),
        model=found.model,
        origin=model.origin,
        fingerprint=found.fingerprint,
        frames=found.frames,
        every_seconds=found.every_seconds,
        num_videos=found.num_videos,
        num_failed=found.num_failed,
        num_moments=found.num_moments,
        duration_seconds=found.duration_seconds,
        size_bytes=found.size_bytes,
        codecs=found.codecs,
        num_damaged=found.num_damaged,
        failed=[_told(video) for video in found.failed],
        damaged=[_told(video) for video in found.damaged],
        notes=[_told(video) for video in found.notes],
        gflops=cost,
        roots=[text_of(root) for root in service.roots()],
        levels={level: most for level, most in LEVELS.items() if level != "none"},
        watching=service.settings.watch,
        is_indexing=service.jobs.is_busy,
    )
