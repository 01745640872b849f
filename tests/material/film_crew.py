"""Stretches of films read by threads in the place of processes, and held against a single pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from tempme.video import Failure, Reading, VideoWindows, iter_windows
from tempme.video.films import Answered, Assignment, Films, OnePass
from tempme.video.stretches import Stretch
from tempme.video.workers import answer, read_pieces

Piece = VideoWindows | Failure


class Crew:
    """Threads in the place of worker processes; notes what they were asked."""

    def __init__(self, change: Callable[[Assignment, Answered], Answered] = lambda _, made: made):
        self.asked: list[Assignment] = []
        self.most_at_once = 0
        self._change, self._lock = change, Lock()

    @property
    def num_stretches(self) -> int:
        return sum(isinstance(asked.what, Stretch) for asked in self.asked)

    @property
    def looks(self) -> list[OnePass]:
        return [asked.what for asked in self.asked if isinstance(asked.what, OnePass)]

    def read(self, paths: list[Path], reading: Reading, *, count: int = 3) -> Iterator[Any]:
        films = Films(iter(paths), reading, ahead=count + 1)
        answers: SimpleQueue[tuple[Assignment, Answered] | None] = SimpleQueue()
        with ThreadPoolExecutor(count) as threads:
            done = [threads.submit(self._work, films, answers, reading) for _ in range(count)]
            while count:
                if (found := answers.get()) is None:
                    count -= 1
                    continue
                yield from films.told(*found)
            for one in done:
                one.result()

    def _work(self, films: Films, answers: SimpleQueue[Any], reading: Reading) -> None:
        try:
            while True:
                with self._lock:
                    asked = next(films, None)
                if asked is None:
                    return
                self.asked.append(asked)
                for made in answer(asked, lambda: None, look=read_pieces, reading=reading):
                    answers.put((asked, self._change(asked, made)))
        finally:
            answers.put(None)


def same(ours: list[Piece], theirs: list[Piece]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, Failure) or isinstance(other, Failure):
            assert one == other
            continue
        for name in ("pixels", "seconds", "windows", "spans"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
        assert (one.piece, one.is_last, one.note) == (other.piece, other.is_last, other.note)
        assert one.info == other.info


def both(path: Path, reading: Reading, crew: Crew) -> list[Piece]:
    """The pieces in stretches, which are those of a single pass."""
    found = [piece for _, piece in crew.read([path], reading)]
    same(found, list(iter_windows(path, reading)))
    return found
