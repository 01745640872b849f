"""Those who follow jobs: each holds a connection, so there is a limit to their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tempme.serving.problems import Problem


class Listeners:
    """Counts them; used in the event loop alone."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    def check(self) -> None:
        """Problem where there are too many."""
        if self._count >= self._most:
            raise Problem(
                429,
                "too-many-listeners",
                f"{self._count} clients follow jobs already: close some, or ask /v1/jobs/ID",
                headers={"Retry-After": "10"},
            )

    @contextmanager
    def one(self) -> Iterator[None]:
        """While one listens."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
