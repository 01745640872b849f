"""`POST /v1/search`: words, pictures, videos and moments in; moments out."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from tempme.index import Hit
from tempme.index.confidence import at_least
from tempme.index.moments import Video
from tempme.index.search import Request as Search
from tempme.index.stores.places import uri_of
from tempme.serving.filters import is_any
from tempme.serving.library import Shelf
from tempme.serving.problems import Problem, invalid
from tempme.serving.schema import HitOut, MomentOut, SearchAnswer, SearchRequest, UploadOut
from tempme.serving.searching import Upload, WantedSearch, offset_of, parts_of, token_for
from tempme.serving.service import Service

DEEPEST = 10_000
MOMENTS_OF_A_VIDEO = 6
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
        answer = await _answered(service, asked, upload)
        answer.seconds = round(time.monotonic() - begin, 4)
        service.metrics.searches.labels(answer.confidence).inc()
        return JSONResponse(answer.model_dump(mode="json"))

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


async def _answered(service: Service, asked: SearchRequest, upload: Upload | None) -> SearchAnswer:
    wanted, fitting, note = await run_in_threadpool(_prepared, service, asked, upload)
    offset = offset_of(asked, upload, most=DEEPEST)
    search = Search(
        k=offset + asked.k + 1,
        min_score=asked.min_score,
        moments=asked.group_by == "moment",
        paths=frozenset(v.path for v in fitting) if is_any(asked.filters) else None,
    )
    hits: list[Hit] = []
    if fitting:
        hits = await service.batches.ask(WantedSearch(wanted.parts, wanted.kind, search))
    sure = at_least(asked.min_confidence)
    hits = [hit for hit in hits if hit.confidence in sure]
    page = hits[offset : offset + asked.k]
    is_more = len(hits) > offset + asked.k and offset + asked.k <= DEEPEST
    return SearchAnswer(
        hits=await run_in_threadpool(_shown, service, page, wanted, asked.group_by),
        confidence=hits[0].confidence if hits else "none",
        num_videos=len(fitting),
        note="; ".join(filter(None, (note, upload.note if upload else ""))),
        upload=None if upload is None else _upload_out(upload),
        next_page_token=token_for(asked, upload, offset + asked.k) if is_more else None,
        seconds=0.0,
    )


def _prepared(
    service: Service, asked: SearchRequest, upload: Upload | None
) -> tuple[WantedSearch, tuple[Video, ...], str]:
    wanted = parts_of(asked, upload, library=service.library, uploads=service.kept)
    texts = [part for part, _ in wanted.parts if isinstance(part, str)]
    notes = dict.fromkeys(service.index.retriever.unread(text) for text in texts)
    return (
        wanted,
        service.library.admitted(asked.filters),
        "; ".join(note for note in notes if note),
    )


def _upload_out(upload: Upload) -> UploadOut:
    return UploadOut.model_validate({"id": upload.id, "kind": upload.kind})


def _shown(service: Service, hits: list[Hit], wanted: WantedSearch, group_by: str) -> list[HitOut]:
    """Hits with what is known of their videos; grouped ones with further moments."""
    shelf = service.library.shelf()
    moments = _moments_of(service, shelf, hits, wanted) if group_by == "video" else {}
    shown = []
    for hit in hits:
        video = next((v for v in shelf.by_id.get(hit.video_id, ()) if v.path == hit.path), None)
        if video is None:  # removed while we searched
            continue
        shown.append(
            HitOut.model_validate(
                {
                    **hit.as_dict(),
                    "path": text_of(hit.path),
                    "paths": [text_of(path) for path in hit.paths],
                    "name": text_of(Path(hit.path.name)),
                    "duration_seconds": round(video.duration_seconds, 3),
                    "width": video.width,
                    "height": video.height,
                    "moments": moments.get(hit.video_id, []),
                }
            )
        )
    return shown


def _moments_of(
    service: Service, shelf: Shelf, hits: list[Hit], wanted: WantedSearch
) -> dict[str, list[MomentOut]]:
    """The best distinct moments of the video of each hit."""
    if not hits:
        return {}
    queries, judge = service.searcher.features(wanted), service.index.judge(wanted.kind)
    found = {}
    for hit in hits:
        with suppress(Problem):  # removed while we searched
            scored = service.scored(hit.video_id, queries, shelf)
            found[hit.video_id] = scored.best(judge, MOMENTS_OF_A_VIDEO)
    return found


def text_of(path: Path) -> str:
    """A path as text that UTF-8 can carry: bytes that are not UTF-8 are shown as escapes."""
    return uri_of(path).encode("utf-8", "backslashreplace").decode()
