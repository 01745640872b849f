"""The thread that looks after one worker process, and after its successors."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Protocol

from tempme.processes.deaths import GIVEN_UP, SHORTER, Death, death_of, stillborn
from tempme.processes.gate import Gate
from tempme.processes.limits import Limits
from tempme.processes.messages import Kind, Parts, Start, packed
from tempme.processes.process import Process, cause_of_end

# Half a second of work, but a machine may be busy, and an item must not be blamed for that.
START_SECONDS = 600.0
# How long a process that has closed its pipes may take to be gone.
PATIENCE_SECONDS = 1.0


class ItemJob(Protocol):
    """An item, and where what becomes of it goes."""

    @property
    def item(self) -> Any:
        """What the task is given."""
        ...

    def begin(self) -> bool:
        """Whether the item is still wanted; called once, before the work on it."""
        ...

    def wait_for_room(self) -> None:
        """Return when a piece may be put, or the work is over."""
        ...

    def put(self, answer: Any) -> None:
        """Take a piece, an answer or a `Crash`."""
        ...

    def fail(self, error: Exception) -> None:
        """Take what the task raised."""
        ...


class Keeper(Thread):
    """Takes jobs until there are none, and has one process at a time do them.

    What a dead process was at is tried once more, in a new process and with no other keeper of
    the same `gate` at work: a system that is short of memory ends whom it likes. Pieces that were
    put before are made again, and dropped.
    """

    def __init__(
        self, take: Callable[[], ItemJob | None], start: Start, *, limits: Limits, gate: Gate
    ) -> None:
        super().__init__(daemon=True)
        self._take, self._work, self._limits, self._gate = take, start, limits, gate
        self._program = packed(Kind.START, start)
        self._is_over = Event()
        self._process: Process | None = None

    def run(self) -> None:
        """Take jobs until there are none left."""
        while (job := self._take()) is not None:
            if job.begin():
                try:
                    self._do(job)
                except Exception as error:
                    job.fail(error)
                    self._bury()
            del job  # what it holds is not kept until the next one comes
        self._bury()

    def end(self) -> None:
        """End the process, and start no other; `run` then comes to its end."""
        self._is_over.set()
        process = self._process
        if process is not None:
            process.kill()

    def _do(self, job: ItemJob) -> None:
        item = packed(Kind.ITEM, job.item)
        pieces = _Pieces(job)
        with self._gate.together():
            death = self._try(item, pieces)
        if death is not None and death.may_try_again and not self._is_answered(pieces):
            with self._gate.alone():
                death = self._try(item, pieces)
        if self._is_answered(pieces):
            return
        if death is not None:
            job.put(death.crash)
        elif pieces.num_lacking:
            job.put(SHORTER)

    def _is_answered(self, pieces: _Pieces) -> bool:
        """Whether the one answer there is was put."""
        return not self._work.is_in_pieces and pieces.num_put > 0

    def _try(self, item: Parts, pieces: _Pieces) -> Death | None:
        """One item there, its pieces back; why that ended early, or None."""
        if self._process is None and (death := self._begin()) is not None:
            return death
        process = self._process
        if process is None or self._is_over.is_set():
            return GIVEN_UP
        pieces.begin()
        try:
            self._ask(process, item, pieces)
        except (EOFError, OSError):
            code = self._bury()
            return GIVEN_UP if self._is_over.is_set() else death_of(process, code, self._limits)
        return None

    def _ask(self, process: Process, item: Parts, pieces: _Pieces) -> None:
        seconds = self._limits.silence_seconds
        process.send(item, limit_seconds=seconds)
        while True:
            kind, value = process.receive(
                limit_seconds=seconds, before_piece=pieces.job.wait_for_room
            )
            if kind is Kind.PIECE:
                pieces.put(value)
                del value
                continue
            process.num_done += 1
            if kind is Kind.RAISED:
                pieces.fail(value)
            elif self._limits.is_worn_out(value):
                self._bury()
            return

    def _begin(self) -> Death | None:
        """Start a process that knows its task; why that failed, or None."""
        if self._is_over.is_set():
            return GIVEN_UP
        try:
            self._process = process = Process()
        except OSError as error:
            return stillborn((error.strerror or str(error)).lower())
        if self._is_over.is_set():  # `end` may have come before there was a process to end
            process.kill()
        try:
            process.send(self._program, limit_seconds=START_SECONDS)
            kind, problem = process.receive(limit_seconds=START_SECONDS)
        except (EOFError, OSError):
            code = self._bury()
            late = f"nothing came from it for {START_SECONDS:g} s"
            return stillborn(late if process.was_late else cause_of_end(code))
        if kind is Kind.RAISED:
            raise problem
        return None

    def _bury(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if self._is_over.is_set():
            process.kill()
        return process.bury(patience_seconds=PATIENCE_SECONDS)


class _Pieces:
    """The pieces of one job, some of which a second try makes again."""

    def __init__(self, job: ItemJob) -> None:
        self.job = job
        self.num_put = 0
        self._num_made = 0
        self._has_failed = False

    @property
    def num_lacking(self) -> int:
        """How many fewer came at the second try than were put at the first."""
        return 0 if self._has_failed else self.num_put - self._num_made

    def begin(self) -> None:
        self._num_made = 0

    def put(self, piece: Any) -> None:
        self._num_made += 1
        if self._num_made > self.num_put:
            self.num_put += 1
            self.job.put(piece)

    def fail(self, error: Exception) -> None:
        self._has_failed = True
        self.job.fail(error)
