"""Which files have changed below some folders, told once they are whole.

The system tells of every write (watchfiles: inotify, FSEvents, ReadDirectoryChangesW). A file that
is being copied or downloaded tells of many; it counts when its size and time stay as they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from tempme.errors import BadSetting, MissingExtra

# How long a file has to stay as it is before it counts as whole.
SETTLE_SECONDS = 2.0
TICK_MS = 250

State = tuple[int, int] | None


def follow(
    roots: Sequence[Path], *, stop: Event, settle_seconds: float = SETTLE_SECONDS
) -> Iterator[tuple[Path, ...]]:
    """Files and folders to index again, with `prune`: first the roots, then what has changed.

    Of what is gone, the folder in which it lay: the system told of each file that went, so that
    `force` may be given from the second time on. What it tells of a root itself does not count,
    for that is how a disk goes. Ends when `stop` is set.
    """
    for root in roots:
        if not root.is_dir():
            raise BadSetting(f"{root} is not a folder; only folders can be watched")
    real = tuple(Path(os.path.realpath(root)) for root in roots)
    changes = _changes(real, stop)
    next(changes, None)  # from here on nothing is missed
    yield real
    waiting = _Waiting(real, settle_seconds)
    for changed in changes:
        waiting.note(changed)
        if ready := waiting.take():
            yield ready


class _Waiting:
    """What has changed and is not yet known to be whole."""

    def __init__(self, roots: tuple[Path, ...], settle_seconds: float) -> None:
        self._roots, self._settle_seconds = roots, settle_seconds
        self._states: dict[Path, tuple[State, float]] = {}

    def note(self, paths: set[Path]) -> None:
        """These have changed."""
        for path in paths.difference(self._roots):
            self._states[path] = (_state(path), time.monotonic())

    def take(self) -> tuple[Path, ...]:
        """What to index for all that has settled, unless something in the making lies below it."""
        now = time.monotonic()
        making = set()
        for path, (state, _) in list(self._states.items()):
            if (current := _state(path)) != state:
                self._states[path] = (current, now)
            if self._states[path][1] > now - self._settle_seconds:
                making.add(path)
        ready = set()
        for path in set(self._states) - making:
            target = self._target(path)
            if not any(other.is_relative_to(target) for other in making):
                ready.add(target)
                del self._states[path]
        return tuple(sorted(t for t in ready if not any(o in ready for o in t.parents)))

    def _target(self, path: Path) -> Path:
        """The path, or the nearest folder that is still there."""
        while not path.exists() and path not in self._roots:
            path = path.parent
        return path


def _changes(roots: tuple[Path, ...], stop: Event) -> Iterator[set[Path]]:
    try:
        from watchfiles import watch
    except ImportError as error:
        raise MissingExtra(
            "watching needs watchfiles: pip install 'tempme[serve]' (or 'watchfiles')"
        ) from error
    for found in watch(
        *roots,
        watch_filter=_is_wanted,
        step=50,
        debounce=TICK_MS,
        rust_timeout=TICK_MS,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=True,
    ):
        yield {Path(path) for _, path in found}


def _is_wanted(_: Any, path: str) -> bool:
    """Not what indexing passes over: hidden folders, indexes, what macOS leaves beside files."""
    parts = Path(path).parts
    return not any(part.startswith(".") or part.endswith(".tempme") for part in parts[1:])


def _state(path: Path) -> State:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns
