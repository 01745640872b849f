"""Runs of indexing: start one, follow it, pause, resume and cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path
from fastapi.sse import EventSourceResponse, ServerSentEvent

from tempme.serving.jobs import Job, JobOrder, progress_as_dict
from tempme.serving.schema import IndexRequest, JobOut, JobProgress, JobsOut
from tempme.serving.service import Service
from tempme.serving.showing import text_of

JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
TICK_SECONDS = 0.2
# After which a browser comes back.
RETRY_MS = 1000


def indexing_routes(service: Service) -> APIRouter:
    """The routes of jobs."""
    router = APIRouter(tags=["indexing"])
    jobs = service.jobs

    @router.post("/index", status_code=202)
    def index(asked: IndexRequest) -> JobOut:
        """Index folders and files below the allowed roots; answers at once with a job.

        Without `paths`, all allowed roots. What is known and unchanged costs nothing.
        """
        roots = service.roots()
        paths = tuple(service.allowed(path) for path in asked.paths) or roots
        order = JobOrder(paths, asked.prune, retry_failed=asked.retry_failed, within=roots)
        return job_out(jobs.start(order))

    @router.get("/jobs")
    def all_jobs() -> JobsOut:
        """All jobs that are remembered, newest first."""
        return JobsOut(jobs=[job_out(job) for job in jobs.all()])

    @router.get("/jobs/{job_id}")
    def job(job_id: JobId) -> JobOut:
        """Where a job stands."""
        return job_out(jobs.find(job_id))

    _add_changes(router, service)
    return router


def _add_changes(router: APIRouter, service: Service) -> None:
    jobs, listeners = service.jobs, service.listeners
    quiet = service.settings.limits.quiet_seconds

    def found(job_id: JobId) -> None:  # before the answer begins, so that it can still be 404
        jobs.find(job_id)
        listeners.check()

    @router.get(
        "/jobs/{job_id}/events",
        response_class=EventSourceResponse,
        dependencies=[Depends(found)],
    )
    async def events(
        job_id: JobId, last_event_id: Annotated[str | None, Header()] = None
    ) -> AsyncIterator[ServerSentEvent]:
        """The job whenever it changes, as server-sent events, until it is over.

        Ends as well when nothing has changed for some seconds. The id of an event is the revision
        of the job: a client that comes back with the last one that it saw, as browsers do by
        themselves, gets only what is newer.
        """
        with listeners.one():
            async for event in _events(jobs.find(job_id), seen=last_event_id, quiet=quiet):
                yield event

    @router.post("/jobs/{job_id}/pause")
    def pause(job_id: JobId) -> JobOut:
        """Stop after the piece in hand, until it is resumed."""
        return _after(jobs.find(job_id), Job.pause)

    @router.post("/jobs/{job_id}/resume")
    def resume(job_id: JobId) -> JobOut:
        """Go on with a paused job."""
        return _after(jobs.find(job_id), Job.resume)

    @router.delete("/jobs/{job_id}")
    def cancel(job_id: JobId) -> JobOut:
        """End a job after the piece in hand; what it has finished is kept."""
        return _after(jobs.find(job_id), Job.cancel)


async def _events(job: Job, *, seen: str | None, quiet: float) -> AsyncIterator[ServerSentEvent]:
    last = int(seen) if seen is not None and seen.isdecimal() else -1
    changed = monotonic()
    while True:
        revision, is_over = job.revision, job.is_over
        if revision != last:
            last, changed = revision, monotonic()
            told = job_out(job).model_dump(mode="json")
            yield ServerSentEvent(data=told, event="job", id=str(revision), retry=RETRY_MS)
        if is_over or monotonic() - changed > quiet:
            return
        await asyncio.sleep(TICK_SECONDS)


def _after(job: Job, change: Any) -> JobOut:
    change(job)
    return job_out(job)


def job_out(job: Job) -> JobOut:
    """A job as it goes over the wire."""
    progress = job.progress
    return JobOut(
        id=job.id,
        state=job.state,
        paths=[text_of(path) for path in job.order.paths],
        progress=None
        if progress is None
        else JobProgress.model_validate(progress_as_dict(progress)),
        report=None if job.report is None else job.report.as_dict(),
        error=job.error,
    )
