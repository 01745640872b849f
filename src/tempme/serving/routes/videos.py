"""Videos of the index: what they are, their moments, how they look and how they play."""

from __future__ import annotations

from pathlib import Path as File
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from tempme.index.moments import Video, moment_id
from tempme.serving.filters import admitted, changed, facets
from tempme.serving.media.media import (
    CLIP_HEIGHTS,
    THUMBNAIL_WIDTHS,
    Growing,
    follow,
    nearest,
)
from tempme.serving.problems import Problem
from tempme.serving.schema import (
    Facets,
    Filters,
    MomentsOut,
    QueryPart,
    SearchRequest,
    Similarity,
    Span,
    VideoDetail,
    VideoOut,
    VideoPage,
)
from tempme.serving.scored import ScoredVideo
from tempme.serving.searching import parts_of
from tempme.serving.service import Service
from tempme.serving.showing import text_of

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
VideoIdPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="From a hit or a list.")]
MomentIdPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}-\d{1,12}-\d{1,12}$")]
PARTS = TypeAdapter(list[QueryPart])
# Moments of a video that its strip marks.
MARKED = 6
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def video_routes(service: Service) -> APIRouter:
    """The routes of videos and their moments."""
    router = APIRouter(tags=["videos"])
    library = service.library

    @router.get("/videos")
    def videos(
        status: Annotated[Literal["ok", "failed", "interrupted", "damaged"] | None, Query()] = None,
        folder: Annotated[str | None, Query(max_length=4096, pattern=r"^[^\x00]*$")] = None,
        k: Annotated[int, Query(ge=1, le=1000)] = 100,
        page_token: Annotated[str, Query(pattern=r"^\d{0,9}$")] = "",
    ) -> VideoPage:
        """The files that the index knows, ordered by path."""
        found = [v for v in library.shelf().videos if status in (None, v.status)]
        if folder:
            found = admitted(found, Filters(folder=folder))
        offset = int(page_token or 0)
        is_more = len(found) > offset + k
        return VideoPage(
            videos=[video_out(video) for video in found[offset : offset + k]],
            total=len(found),
            next_page_token=str(offset + k) if is_more else None,
        )

    @router.get("/facets")
    def counted() -> Facets:
        """Filters of a search, each with the number of videos that it leaves."""
        return facets(library.shelf().good)

    @router.get("/videos/{video_id}")
    def video(video_id: VideoIdPath) -> VideoDetail:
        """One content, and all files that have it."""
        copies = library.copies(video_id)
        return VideoDetail(
            video=video_out(copies[0]), paths=[text_of(copy.path) for copy in copies]
        )

    @router.get("/videos/{video_id}/moments")
    def moments(video_id: VideoIdPath) -> MomentsOut:
        """The moments of a video in order of time."""
        first, spans = library.copies(video_id)[0], library.gallery(video_id).spans.tolist()
        return MomentsOut(
            video_id=video_id,
            duration_seconds=first.duration_seconds,
            moments=[
                Span(
                    moment_id=moment_id(video_id, *span), start_seconds=span[0], end_seconds=span[1]
                )
                for span in spans
            ],
        )

    @router.get("/videos/{video_id}/similarity")
    def similarity(
        video_id: VideoIdPath, wanted: Annotated[SearchRequest, Depends(_wanted)]
    ) -> Similarity:
        """The score of every moment of a video, in order of time: where in it something is."""
        first = library.copies(video_id)[0]
        parts = parts_of(wanted, None, library=library, uploads=service.kept)
        scored = ScoredVideo.of(library.gallery(video_id), service.features.of(parts))
        judge = service.index.judge(parts.kind)
        return Similarity(
            video_id=video_id,
            duration_seconds=first.duration_seconds,
            moments=scored.every(judge),
            best=scored.best(judge, MARKED),
        )

    _add_media(router, service)
    return router


def _wanted(
    q: Annotated[str | None, Query(max_length=2000, description="Words.")] = None,
    moment: Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}-\d{1,12}-\d{1,12}$")] = None,
    upload: Annotated[str | None, Query(max_length=64)] = None,
    parts: Annotated[
        str | None,
        Query(max_length=20_000, description="`parts` of a search as JSON, for all else."),
    ] = None,
) -> SearchRequest:
    try:
        several = PARTS.validate_json(parts or "[]")
        several += [QueryPart(moment=moment)] if moment else []
        several += [QueryPart(upload=upload)] if upload else []
        return SearchRequest(query=q, parts=several)
    except ValidationError as error:
        raise Problem(422, "unclear-part", f"parts: {error.errors()[0]['msg']}") from error


def _add_media(router: APIRouter, service: Service) -> None:
    library, media, limits = service.library, service.media, service.settings.limits

    @router.head("/videos/{video_id}/stream", include_in_schema=False)
    @router.get(
        "/videos/{video_id}/stream",
        response_class=Response,
        responses={200: {"content": {"video/mp4": BINARY, "video/webm": BINARY}}},
    )
    async def stream(video_id: VideoIdPath) -> Response:
        """The video to play, in ranges. What browsers do not play is converted to MP4, and comes
        whole, without ranges, while that goes on."""
        video = await run_in_threadpool(library.file_of, video_id)
        found = await media.playable(video)
        if isinstance(found, Growing):
            headers = {"Cache-Control": "no-store", "Accept-Ranges": "none"}
            return StreamingResponse(follow(found), media_type="video/mp4", headers=headers)
        return _file(*found, {"Cache-Control": "private, max-age=3600"})

    @router.head("/moments/{moment_id}/thumbnail", include_in_schema=False)
    @router.get(
        "/moments/{moment_id}/thumbnail",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": BINARY}}},
    )
    async def thumbnail(
        moment_id: MomentIdPath, width: Annotated[int, Query(ge=1, le=10_000)] = 480
    ) -> Response:
        """A picture of the middle of a moment, as wide as asked for or a little more."""
        moment = await run_in_threadpool(library.moment, moment_id)
        video = await run_in_threadpool(library.file_of, moment.video.digest)
        middle = (moment.start_seconds + moment.end_seconds) / 2
        path = await media.picture(video, middle, nearest(width, THUMBNAIL_WIDTHS))
        return _file(path, "image/jpeg", FOREVER)

    @router.head("/videos/{video_id}/thumbnail", include_in_schema=False)
    @router.get(
        "/videos/{video_id}/thumbnail",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": BINARY}}},
    )
    async def cover(
        video_id: VideoIdPath, width: Annotated[int, Query(ge=1, le=10_000)] = 320
    ) -> Response:
        """A picture of a video, from a third of its length: many begin in black."""
        video = await run_in_threadpool(library.file_of, video_id)
        size = nearest(width, THUMBNAIL_WIDTHS)
        return _file(
            await media.picture(video, video.duration_seconds / 3, size), "image/jpeg", FOREVER
        )

    @router.head("/moments/{moment_id}/clip", include_in_schema=False)
    @router.get(
        "/moments/{moment_id}/clip",
        response_class=Response,
        responses={200: {"content": {"video/mp4": BINARY}}},
    )
    async def clip(
        moment_id: MomentIdPath,
        height: Annotated[int, Query(ge=1, le=10_000)] = 720,
        pad_seconds: Annotated[float, Query(ge=0, le=30, allow_inf_nan=False)] = 0.0,
        sound: bool = True,
        download: bool = False,
    ) -> Response:
        """The moment alone as MP4, encoded again so that it begins and ends at its exact times.

        `pad_seconds` adds so much before and after.
        """
        moment = await run_in_threadpool(library.moment, moment_id)
        video = await run_in_threadpool(library.file_of, moment.video.digest)
        start = max(0.0, moment.start_seconds - pad_seconds)
        end = min(moment.end_seconds + pad_seconds, start + limits.clip_seconds)
        size = nearest(height, CLIP_HEIGHTS)
        path = await media.clip(video, start, end, size, has_sound=sound)
        name = f"{video.path.stem} {start:.1f}-{end:.1f}s.mp4" if download else ""
        return _file(path, "video/mp4", FOREVER, name=name)


def _file(path: File, kind: str, headers: dict[str, str], *, name: str = "") -> FileResponse:
    """The file in ranges; with a `name` browsers store it under that, else they show it."""
    plain = quote(name.encode("utf-8", "replace"), safe="")
    shown = f"attachment; filename*=utf-8''{plain}" if name else "inline"
    return FileResponse(path, media_type=kind, headers={**headers, "Content-Disposition": shown})


def video_out(video: Video) -> VideoOut:
    """A row of the index as it goes over the wire."""
    return VideoOut(
        path=text_of(video.path),
        name=text_of(File(video.path.name)),
        video_id=video.digest,
        status=video.status,
        reason=video.reason,
        duration_seconds=round(video.duration_seconds, 3),
        width=video.width,
        height=video.height,
        codec=video.codec,
        size_bytes=video.size_bytes,
        changed=changed(video),
        num_moments=video.num_moments,
        thumbnail=_picture_of(video),
    )


def _picture_of(video: Video) -> str | None:
    return f"v1/videos/{video.digest}/thumbnail" if video.status == "ok" else None
