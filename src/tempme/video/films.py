"""Files on their way through worker processes, long films in stretches: what is asked next, and
in which order answers are told.

Who asks a worker for a file gets its windows, or a `FilmSplit`: then stretches are asked for, which
whichever workers are free decode, and their pieces are told in order. What casts a doubt on a
film, a failure, damage, or a stretch that begins with another picture than the one before it found
there, has it read in one pass, from whose pieces those that were told already are left out.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition
from typing import TypeAlias

import numpy as np

from tempme.processes.deaths import Crash
from tempme.video.stretches import Done, Doubtful, FilmSplit, Stretch, joined, nothing_of
from tempme.video.values import Failure, Pixels, Reading, VideoWindows

Told: TypeAlias = tuple[Path, VideoWindows | Failure]


@dataclass(frozen=True)
class OnePass:
    """Read a file in one pass, all but the first `told` pieces; or split it, where it may be."""

    path: Path
    may_split: bool
    told: int = 0


@dataclass(frozen=True, eq=False)
class Assignment:
    """What a worker is to do, and for which of the files."""

    number: int
    what: OnePass | Stretch
    part: int = 0


Answered: TypeAlias = VideoWindows | Failure | FilmSplit | Done | Doubtful | Crash


@dataclass
class _Film:
    """What is known of a file that is not closed yet."""

    number: int
    path: Path
    begin: float
    split: FilmSplit | None = None
    asked: int = 0
    told: int = 0
    spent_seconds: float = 0.0
    is_doubtful: bool = False
    done: dict[int, Done] = field(default_factory=dict)
    first: VideoWindows | None = None
    seam: Pixels | None = None


class Films(Iterator[Assignment]):
    """What is asked, drawn by the pool's threads one at a time; answers come from its caller.

    Of a film at most `ahead` stretches are with workers, or wait for their turn to be told.
    """

    def __init__(self, paths: Iterator[Path], reading: Reading, *, ahead: int) -> None:
        self._paths, self._reading, self._ahead = paths, reading, ahead
        self._films: dict[int, _Film] = {}
        self._number = 0
        self._changed = Condition()
        self._is_closed = False
        self._end: BaseException | None = None  # of the paths: that there are no more, or an error

    def __next__(self) -> Assignment:
        """The next thing to do; waits while films may still be split or doubted."""
        while True:
            with self._changed:
                if self._is_closed:
                    raise StopIteration
                if (asked := self._of_films()) is not None:
                    return asked
                if self._end is not None and not self._films:
                    raise self._end
                if self._end is not None:
                    self._changed.wait()
                    continue
            try:
                path = next(self._paths)  # without the lock: it may take long
            except Exception as end:
                self._end = end
                continue
            return self._look(path)

    def close(self) -> None:
        """Nothing more is to be done; nobody waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def told(self, asked: Assignment, answer: Answered) -> Generator[Told]:
        """What the answer lets be told, in order."""
        film = self._films.get(asked.number)
        if film is None or (film.is_doubtful and isinstance(asked.what, Stretch)):
            return
        if isinstance(answer, Crash):
            yield self._closing(film, Failure(film.path, answer.reason, answer.is_transient))
        elif isinstance(answer, FilmSplit):
            with self._changed:
                film.split = answer
                film.spent_seconds = time.monotonic() - film.begin
                self._changed.notify_all()
        elif isinstance(answer, VideoWindows | Failure):
            is_last = isinstance(answer, Failure) or answer.is_last
            yield self._closing(film, answer) if is_last else (film.path, answer)
        else:
            yield from self._stretch(film, asked.part, answer)

    def _look(self, path: Path) -> Assignment:
        with self._changed:
            self._number += 1
            self._films[self._number] = _Film(self._number, path, time.monotonic())
            return Assignment(self._number, OnePass(path, may_split=self._ahead > 1))

    def _of_films(self) -> Assignment | None:
        """A stretch of a film that was split, or a film that has to be read again."""
        for film in self._films.values():
            if film.is_doubtful and film.split is not None:
                film.split = None
                return Assignment(film.number, OnePass(film.path, may_split=False, told=film.told))
            if film.split is None or film.asked >= film.told + self._ahead:
                continue
            if film.asked < len(film.split.stretches):
                film.asked += 1
                return Assignment(film.number, self._part(film, film.split), film.asked - 1)
        return None

    def _part(self, film: _Film, split: FilmSplit) -> Stretch:
        part = film.asked - 1
        (windows, *rest) = split.stretches[part:]
        left = max(1e-3, self._reading.total_seconds - film.spent_seconds)
        elapsed = max(1e-3, self._reading.elapsed_seconds - (time.monotonic() - film.begin))
        after = rest[0] if rest else ()
        return Stretch(film.path, windows, after, split.timeline, left, elapsed)

    def _stretch(self, film: _Film, part: int, answer: Done | Doubtful) -> Generator[Told]:
        """What can be told now that a stretch is done."""
        assert film.split is not None
        if isinstance(answer, Doubtful):
            self._doubt(film)
            return
        film.done[part] = answer
        while (done := film.done.pop(film.told, None)) is not None:
            film.spent_seconds += done.seconds
            if not self._fits(film, done):
                self._doubt(film)
                return
            told = self._next(film, film.split, done)
            with self._changed:
                film.told += 1
                self._changed.notify_all()
            yield self._closing(film, told) if told.is_last else (film.path, told)
            if told.is_last:
                return

    def _fits(self, film: _Film, done: Done) -> bool:
        """Whether a stretch goes on where the one before it ended."""
        before, film.seam = film.seam, done.seam
        if done.piece is None:
            return film.first is not None  # it is late: there is nothing to be told of it
        film.first = film.first or done.piece
        return before is None or np.array_equal(before, done.piece.pixels[0])

    def _next(self, film: _Film, split: FilmSplit, done: Done) -> VideoWindows:
        """The piece of a stretch; the last one where the film ends, or its time is up."""
        assert film.first is not None
        piece = done.piece or nothing_of(film.first)
        made = joined(piece, part=film.told, first=film.first, note=split.note)
        is_last = film.told == len(split.stretches) - 1
        limit, used = done.late, made.spans[-1:, 1]
        if not is_last and not limit and film.spent_seconds > self._reading.total_seconds:
            limit = self._reading.total_seconds
        if not limit:
            return replace(made, is_last=is_last)
        end = float(used[0]) if len(used) else split.stretches[film.told - 1][-1].end_seconds
        late = f"timeout after {limit:g} s: used the first {end:.1f} s"
        note = "; ".join(filter(None, (split.note, late)))
        return replace(made, is_last=True, note=note, info=replace(made.info, note=note))

    def _doubt(self, film: _Film) -> None:
        """Have a film read in one pass, from the piece on that is to be told next."""
        with self._changed:
            film.is_doubtful = True
            film.done.clear()
            self._changed.notify_all()

    def _closing(self, film: _Film, last: VideoWindows | Failure) -> Told:
        with self._changed:
            del self._films[film.number]
            self._changed.notify_all()
        return film.path, last
