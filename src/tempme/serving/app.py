"""The application: routes, errors, guards and the page, around one index."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

from tempme.index import Index
from tempme.serving.guards import Guard
from tempme.serving.measuring import Measured
from tempme.serving.problems import MEDIA_TYPE, handle_problems
from tempme.serving.routes.indexing import indexing_routes
from tempme.serving.routes.search import search_routes
from tempme.serving.routes.status import status_routes
from tempme.serving.routes.videos import video_routes
from tempme.serving.schema import ProblemOut, SearchRequest
from tempme.serving.service import Service
from tempme.serving.settings import ServeSettings
from tempme.uris import is_remote

PAGE = Path(__file__).parent / "page"
ABOUT = """Search the moments of your videos by what they show.

Hits have the same names here, in Python and in `tempme search --json`. Errors are problem documents
(RFC 9457). Where the service was given a token, send it as `Authorization: Bearer TOKEN`."""
PROBLEMS = {
    400: "the request cannot be read",
    401: "the token is missing or wrong",
    403: "not allowed from here",
    404: "no such thing",
    408: "the request came too slowly",
    409: "not in this state",
    410: "the file is gone or has changed",
    413: "too large",
    415: "a body of another kind",
    421: "the service has no such name",
    422: "a value that cannot be used",
    429: "too many jobs",
    503: "the index or its model cannot be used",
}


def create_app(index: Index, settings: ServeSettings) -> FastAPI:
    """The service over `index`, ready for any ASGI server."""
    service = Service(index, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=service.warm, daemon=True, name="tempme-warm").start()
        if is_remote(index.name):
            threading.Thread(target=service.keep_lists, daemon=True, name="tempme-lists").start()
        if settings.watch:
            threading.Thread(target=service.watch, daemon=True, name="tempme-watch").start()
        yield
        service.close()

    app = FastAPI(
        title="tempme",
        version=_version(),
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=lambda route: route.name,
    )
    handle_problems(app)
    v1 = APIRouter(prefix="/v1", responses=_problems())
    for routes in (search_routes, video_routes, indexing_routes, status_routes):
        v1.include_router(routes(service))
    app.include_router(v1)
    _add_metrics(app, service)
    _add_page(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Guard, settings=settings)
    return app


def _problems() -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    return {code: {"description": told, "content": content} for code, told in PROBLEMS.items()}


def _add_metrics(app: FastAPI, service: Service) -> None:
    @app.get("/metrics", response_class=PlainTextResponse, tags=["service"])
    def metrics() -> Response:
        """Counters in the text format of Prometheus."""
        service.metrics.indexing.set(service.jobs.is_busy)
        text = service.metrics.text(service.library)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_middleware(Measured, metrics=service.metrics)


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html", headers={"Cache-Control": "no-cache"})

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> FileResponse:
        return FileResponse(PAGE / "icon.svg", media_type="image/svg+xml")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        known = schema["components"]["schemas"]
        for model in (ProblemOut, SearchRequest):
            own = model.model_json_schema(ref_template="#/components/schemas/{model}")
            known.update(own.pop("$defs", {}))
            known[model.__name__] = own
        for name in ("HTTPValidationError", "ValidationError"):
            known.pop(name, None)
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{}, {"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


def _version() -> str:
    from importlib.metadata import version

    return version("tempme")
