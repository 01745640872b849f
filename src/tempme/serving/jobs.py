"""Runs of indexing that a service does, one after the other, and that can be paused."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tempme.errors import IndexBusy, Stopped, TempmeError
from tempme.index import Index, Progress, Report
from tempme.serving.problems import Problem
from tempme.uris import uri_of

State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
OVER: frozenset[State] = frozenset({"done", "failed", "cancelled"})
KEPT = 100
BUSY_SECONDS = 1.0


@dataclass(frozen=True)
class JobOrder:
    """What a job is to index; see `Index.add`."""

    paths: tuple[Path, ...]
    prune: bool = False
    force: bool = False
    retry_failed: bool = False
    within: tuple[Path, ...] = ()


class Job:
    """One run. Its state changes in the thread that indexes, and by what people ask for."""

    def __init__(self, order: JobOrder) -> None:
        self.id = uuid.uuid4().hex
        self.order = order
        self.state: State = "waiting"
        self.progress: Progress | None = None
        self.report: Report | None = None
        self.error = ""
        self.revision = 0
        self._may_go = threading.Event()
        self._may_go.set()
        self._is_cancelled = False
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.state in OVER

    def pause(self) -> None:
        """Stop after the piece in hand, until `resume`; Problem if it is over."""
        self._alter("paused", of=("waiting", "running", "paused"))
        self._may_go.clear()

    def resume(self) -> None:
        """Go on; Problem if it is over."""
        self._alter("running", of=("waiting", "running", "paused"))
        self._may_go.set()

    def cancel(self) -> None:
        """End after the piece in hand: what is finished is kept. Nothing if it is over."""
        with self._lock:
            if self.is_over:
                return
            self._is_cancelled = True
            if self.state == "waiting":
                self.state = "cancelled"
            self.revision += 1
        self._may_go.set()

    def run(self, index: Index, check: Callable[[], object] = lambda: None) -> None:
        """Do it, in the thread that calls; `check` raises where the index may not be written to."""
        while self._begins() and not self._did(index, check):
            time.sleep(BUSY_SECONDS)

    def _begins(self) -> bool:
        self._may_go.wait()
        with self._lock:
            if self.is_over or self._is_cancelled:
                self.state = "cancelled"
                return False
            self.state = "running"
            self.revision += 1
        return True

    def _did(self, index: Index, check: Callable[[], object]) -> bool:
        """Run to an end; False if another process is writing, so that it has to wait."""
        order = self.order
        try:
            # What a watched folder has lost meanwhile is no reason to fail.
            paths = tuple(path for path in order.paths if path.exists()) or order.paths
            check()
            report = index.add(
                paths,
                prune=order.prune,
                force=order.force,
                retry_failed=order.retry_failed,
                within=order.within,
                on_progress=self._note,
            )
        except Stopped:
            self._end("cancelled")
        except IndexBusy as error:
            with self._lock:
                self.state, self.error = "waiting", str(error)
                self.revision += 1
            return False
        except TempmeError as error:
            self._end("failed", str(error))
        except Exception as error:
            self._end("failed", f"{type(error).__name__}: {error}")
            raise
        else:
            self.report = report
            self._end("done")
        return True

    def _note(self, progress: Progress) -> None:
        self.progress = progress
        self.revision += 1
        self._may_go.wait()
        if self._is_cancelled:
            raise Stopped("cancelled; what was finished is kept")

    def _alter(self, state: State, *, of: Sequence[State]) -> None:
        with self._lock:
            if self.state not in of:
                raise Problem(409, "job-over", f"the job is {self.state}: start a new one")
            if not (self.state == "waiting" and state == "running"):
                self.state = state
            self.revision += 1

    def _end(self, state: State, error: str = "") -> None:
        with self._lock:
            self.state, self.error = state, error
            self.revision += 1


class Jobs:
    """All jobs of a service; they run one at a time, as an index has one writer.

    `begin` is called first, in the thread that indexes; `check` before each job.
    """

    def __init__(
        self,
        index: Index,
        *,
        begin: Callable[[], None] = lambda: None,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._index, self._check = index, check
        self._jobs: dict[str, Job] = {}
        self._thread = ThreadPoolExecutor(1, "tempme-index", initializer=begin)

    def start(self, order: JobOrder) -> Job:
        """A new job, after those that wait; Problem if too many do."""
        if sum(not job.is_over for job in self._jobs.values()) >= KEPT:
            raise Problem(429, "too-many-jobs", "too many jobs wait: cancel some, or wait")
        job = Job(order)
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT:
            old = next((job for job in self._jobs.values() if job.is_over), None)
            if old is None:
                break
            del self._jobs[old.id]
        self._thread.submit(job.run, self._index, self._check)
        return job

    def find(self, id_: str) -> Job:
        """The job with this id; Problem if there is none."""
        job = self._jobs.get(id_)
        if job is None:
            raise Problem(404, "no-such-job", "no job has this id; /v1/jobs lists those there are")
        return job

    def all(self) -> tuple[Job, ...]:
        """All that are remembered, newest first."""
        return tuple(reversed(self._jobs.values()))

    @property
    def is_busy(self) -> bool:
        """Whether one is being worked on."""
        return any(job.state in ("running", "paused") for job in self._jobs.values())

    def close(self) -> None:
        """Cancel what runs and wait for it to write what is finished."""
        for job in self._jobs.values():
            job.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)


def progress_as_dict(progress: Progress) -> dict[str, object]:
    """The names of `Progress` and its derived figures, ready for JSON."""
    return {
        **asdict(progress),
        "path": None if progress.path is None else uri_of(progress.path),
        "videos_per_second": progress.videos_per_second,
        "eta_seconds": progress.eta_seconds,
        "bottleneck": progress.bottleneck,
    }
