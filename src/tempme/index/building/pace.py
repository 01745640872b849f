"""How far a run is and how long it will take: by windows, which all cost about the same."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tempme.index.building.scan import File

if TYPE_CHECKING:
    from tempme.video import VideoWindows

# How many times at least the speed is noted while the time of a run doubles.
SAMPLES = 50


@dataclass
class _Left:
    """A file that is not done: its bytes, the windows that it seems to have, those read."""

    size_bytes: int
    windows: float | None
    read: int = 0
    share: float = 0.0

    @property
    def windows_left(self) -> float:
        """Those still to be read; 0 where nothing is known of them."""
        return 0.0 if self.windows is None else max(0.0, self.windows - self.read)

    @property
    def unknown_bytes(self) -> int:
        """All of a file of which no length is known."""
        return self.size_bytes if self.windows is None else 0


class Pace:
    """The files to look at, what is done of them, and the speed.

    What has no known length counts by its bytes, as others of this run have windows a byte. Speed
    is that of windows which were really read, in the last half of the time since the first, so
    that neither a copy of something known nor the start of the workers is taken for the speed of
    a run.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.total_bytes = 0
        self._clock = clock
        self._paused_seconds = 0.0
        self._begin = self._first = self._now()
        self._samples: deque[tuple[float, int]] = deque()
        self._left: dict[Path, _Left] = {}
        self._read = 0
        self._done_bytes = 0.0
        self._windows_left = self._unknown_bytes = 0.0
        # Over all files of known length: windows and bytes.
        self._known_windows = self._known_bytes = 0.0

    def start(self, files: Sequence[File], windows_in: Callable[[File], float | None]) -> None:
        """These files are to be looked at, from now on; `windows_in` may not know."""
        self._begin = self._now()
        self.total_bytes = sum(file.size_bytes for file in files)
        for file in files:
            windows = windows_in(file)
            self._left[file.path] = _Left(file.size_bytes, windows)
            self._learn(file.size_bytes, windows)
            self._weigh(self._left[file.path], 1)

    def reach(self, path: Path, num_windows: int, share: float) -> None:
        """So many more windows of a file are read, which is so far read up to this share of it."""
        file = self._left.get(path)
        self._read += num_windows
        self._sample()
        if file is None:
            return
        self._weigh(file, -1)
        file.read, file.share = file.read + num_windows, share
        if share > 0:
            if file.windows is None:
                self._learn(file.size_bytes, file.read / share)
            file.windows = file.read / share
        self._weigh(file, 1)

    def finish(self, path: Path) -> None:
        """A file is done, however much was read of it."""
        file = self._left.pop(path, None)
        if file is not None:
            self._weigh(file, -1)
            self._done_bytes += file.size_bytes

    @property
    def done_bytes(self) -> int:
        """Bytes of files that are done, and of the parts of others."""
        return round(self._done_bytes)

    @property
    def eta_seconds(self) -> float | None:
        """The time that what is left will take at the pace so far; None before the first answer."""
        if not self._samples:
            return None
        since, before = self._samples[0]
        seconds, read = self._now() - since, self._read - before
        if read <= 0 or seconds <= 0:
            seconds, read = self._now() - self._begin, self._read
        return seconds * self._all_windows_left() / read if read > 0 else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done within, the writing of rows, is short but for its first time."""
        begin = self._clock()
        yield
        self._paused_seconds += self._clock() - begin

    def _now(self) -> float:
        return self._clock() - self._paused_seconds

    def _all_windows_left(self) -> float:
        a_byte = self._known_windows / self._known_bytes if self._known_bytes else 0.0
        return max(0.0, self._windows_left + self._unknown_bytes * a_byte)

    def _weigh(self, file: _Left, sign: int) -> None:
        """Count a file in, or out."""
        self._windows_left += sign * file.windows_left
        self._unknown_bytes += sign * file.unknown_bytes
        self._done_bytes += sign * file.size_bytes * file.share

    def _learn(self, size_bytes: int, windows: float | None) -> None:
        if windows is not None:
            self._known_windows += windows
            self._known_bytes += size_bytes

    def _sample(self) -> None:
        """Note where things stand, now and then, and drop what is older than half the time."""
        now = self._now()
        if not self._samples:
            self._first = now
        elif now - self._samples[-1][0] < (now - self._first) / SAMPLES:
            return
        self._samples.append((now, self._read))
        while len(self._samples) > 2 and self._samples[1][0] <= (self._first + now) / 2:
            self._samples.popleft()


def share_of(piece: VideoWindows) -> float:
    """How much of its video has been read when this piece has come, from 0 to 1."""
    if piece.is_last or not len(piece.spans) or piece.info.duration_seconds <= 0:
        return float(piece.is_last)
    return min(1.0, float(piece.spans[-1, 1]) / piece.info.duration_seconds)
