"""Rows on their way into the store: gathered for a moment, written together."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tempme.index.moments import Moments, Video
from tempme.index.stores.store import Store

# A write takes about 15 ms whatever its size, so rows are gathered for a moment, and longer where
# writing turns out slower: at most a twentieth of the time goes into it.
WRITE_EVERY_SECONDS = 1.0
WRITE_SHARE = 0.05
WRITES_BEFORE_TIDYING = 256


class Writer:
    """Writes a video's moments before its row, and removes an old name after the new one.

    `check` is called before anything is written and raises where that must not be.
    """

    def __init__(self, store: Store, *, check: Callable[[], None] = lambda: None) -> None:
        self.store, self._check = store, check
        self.num_writes = 0
        self._videos: dict[Path, Video] = {}
        self._moments: list[Moments] = []
        self._forgotten: set[Path] = set()
        self._last = time.monotonic()
        self._pause_seconds = WRITE_EVERY_SECONDS

    def add_moments(self, moments: Moments) -> None:
        """Take the moments of a content; they are written with the rows of its videos."""
        self._moments.append(moments)

    def add(self, video: Video) -> None:
        """Take a row."""
        self._videos[video.path] = video
        self._forgotten.discard(video.path)

    def forget(self, path: Path) -> None:
        """Take note that a row has to go."""
        self._videos.pop(path, None)
        self._forgotten.add(path)

    def flush_in_time(self) -> None:
        """Write if the last write was long enough ago; call it when videos are complete."""
        if time.monotonic() - self._last >= self._pause_seconds:
            self.flush()

    def flush(self) -> None:
        """Write everything taken so far."""
        self._check()
        # Taken out first: after a failed write nothing is written a second time.
        videos, self._videos = tuple(self._videos.values()), {}
        moments, self._moments = tuple(self._moments), []
        forgotten, self._forgotten = frozenset(self._forgotten), set()
        begin = time.monotonic()
        with _undisturbed():
            if videos or moments:
                self.store.put(videos, moments)
                self.num_writes += 1
            if forgotten:
                self.store.forget(forgotten)
                self.num_writes += 1
        if self.num_writes and self.num_writes % WRITES_BEFORE_TIDYING == 0:
            self.store.tidy()
        self._last = time.monotonic()
        self._pause_seconds = max(WRITE_EVERY_SECONDS, (self._last - begin) / WRITE_SHARE)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until a write is through: it would lose what the write holds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt
