"""`POST /v1/search`: words, pictures, videos and moments in; moments out."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from tempme.serving.answering import SearchOrder
from tempme.serving.problems import Problem, invalid
from tempme.serving.schema import SearchAnswer, SearchRequest
from tempme.serving.searching import Upload
from tempme.serving.service import Service

BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/SearchRequest"},
                "example": {"query": "a red circle", "k": 3},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "A picture or a video to search by.",
                        },
                        "request": {
                            "type": "string",
                            "description": "A SearchRequest as JSON, for the rest.",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/SearchRequest"},
                        },
                    },
                    "required": ["file"],
                },
            },
        },
    }
}


def search_routes(service: Service) -> APIRouter:
    """The route of searches."""
    router = APIRouter(tags=["search"])

    @router.post("/search", response_model=SearchAnswer, openapi_extra=BODY)
    async def search(request: Request) -> Any:
        """Find the moments that fit words, a picture or video, another moment, or all of these.

        `{"query": "a red circle"}` is enough. `parts` takes several things with weights, those
        below 0 for what is not wanted. A picture or video comes as `file` of a multipart form; its
        id in the answer may be used in later searches. Pages follow by `next_page_token`.
        """
        begin = time.monotonic()
        try:
            asked, file = await _read(request)
        except ValidationError as error:
            return invalid(error.errors(include_url=False), instance=request.url.path)
        upload = await _uploaded(service, file)
        answer = await service.searches.ask(SearchOrder(asked, upload))
        answer.seconds = round(time.monotonic() - begin, 4)
        service.metrics.searches.labels(answer.confidence).inc()
        return Response(answer.model_dump_json(), media_type="application/json")

    return router


async def _read(request: Request) -> tuple[SearchRequest, UploadFile | None]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return SearchRequest.model_validate_json(await request.body() or b"{}"), None
    if kind != "multipart/form-data":
        raise Problem(
            415,
            "unknown-body",
            "send JSON (Content-Type: application/json), or a multipart form with a file",
        )
    try:
        form = await request.form(max_files=1, max_fields=4, max_part_size=1024**2)
    except HTTPException as error:
        raise Problem(400, "damaged-form", f"the form cannot be read: {error.detail}") from error
    return _of_form(form)


def _of_form(form: FormData) -> tuple[SearchRequest, UploadFile | None]:
    file, told = form.get("file"), form.get("request")
    if told is not None and not isinstance(told, str):
        raise Problem(422, "damaged-form", "request is a file; it is a field with JSON")
    if file is not None and not isinstance(file, UploadFile):
        raise Problem(422, "damaged-form", "file is a field; it is a file with a name")
    return SearchRequest.model_validate_json(told or "{}"), file


async def _uploaded(service: Service, file: UploadFile | None) -> Upload | None:
    if file is None:
        return None
    try:
        upload = await service.uploads.read(file.file)
    finally:
        await file.close()
    service.kept.put(upload.id, upload)
    return upload
