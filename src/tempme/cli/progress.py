"""Progress on stderr: a bar that lives in a terminal; of indexing, also lines in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from tempme.cli.output import say

if TYPE_CHECKING:
    from tempme.index import Progress

LOG_EVERY_SECONDS = 30.0


@contextlib.contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Callable[[int, int], None]]:
    """A bar for so many done of so many: call what it yields with both. Nothing in a log."""
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(what), total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class ProgressBar:
    """Shows each `Progress` it is given."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._is_live = console.is_terminal
        columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
        self._bar = Bar(*columns, console=console, transient=True, disable=not self._is_live)
        self._task = self._bar.add_task("looking for videos", total=None)
        self._last = time.monotonic()

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Redraw, or log where nobody watches."""
        if self._is_live:
            self._bar.update(
                self._task,
                total=progress.total_bytes or 1,
                completed=progress.done_bytes,
                description=_line(progress),
            )
        elif time.monotonic() - self._last >= LOG_EVERY_SECONDS:
            self._last = time.monotonic()
            say(_line(progress))


def _line(progress: Progress) -> str:
    parts = [f"{progress.done}/{progress.total} videos"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    parts.append(f"{progress.videos_per_second:.1f} videos/s")
    if progress.eta_seconds is not None:
        minutes, seconds = divmod(round(progress.eta_seconds), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"ETA {hours}:{minutes:02d}:{seconds:02d}")
    return "  ".join([*parts, progress.bottleneck])
