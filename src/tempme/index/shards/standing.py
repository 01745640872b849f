"""A decode process that stays from one batch of files to the next, as starting one takes a second.

Paths are handed to it two at a time, so that it never waits, and no more objects of a bucket are
fetched than it can take.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from queue import SimpleQueue

from tempme.video import Failure, Reading, VideoWindows, decode_many

IN_LINE = 2


class StandingDecoder:
    """Reads files as `decode_many` does, with one process for all calls.

    A call that is not read to its end ends the process, and the next one starts another.
    """

    def __init__(self, reading: Reading, *, worker_memory_mb: float | None) -> None:
        self._reading, self._memory = reading, worker_memory_mb
        self._paths: SimpleQueue[Path | None] = SimpleQueue()
        self._answers: Generator[tuple[Path, VideoWindows | Failure]] | None = None

    def __call__(self, paths: Iterator[Path]) -> Generator[tuple[Path, VideoWindows | Failure]]:
        """(path, piece or failure) of every path, as they are ready."""
        in_line = self._hand_on(paths, IN_LINE)
        try:
            while in_line:
                path, answer = next(self._started())
                if isinstance(answer, Failure) or answer.is_last:
                    in_line += self._hand_on(paths, 1) - 1
                yield path, answer
                del answer
        finally:
            if in_line:
                self.close()

    def close(self) -> None:
        """End the process."""
        answers, self._answers = self._answers, None
        self._paths.put(None)
        self._paths = SimpleQueue()
        if answers is not None:
            answers.close()

    def _hand_on(self, paths: Iterator[Path], most: int) -> int:
        """Put so many of the paths in line; how many there were."""
        number = 0
        for number in range(1, most + 1):
            path = next(paths, None)
            if path is None:
                return number - 1
            self._paths.put(path)
        return number

    def _started(self) -> Generator[tuple[Path, VideoWindows | Failure]]:
        if self._answers is None:
            waiting: Iterator[Path] = iter(self._paths.get, None)
            self._answers = decode_many(
                waiting, self._reading, workers=1, worker_memory_mb=self._memory
            )
        return self._answers
