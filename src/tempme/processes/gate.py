"""A gate that many may pass at once, or one alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Gate:
    """Threads are within together, or one of them alone; who wants to be alone goes first."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._num_within = self._num_waiting = 0
        self._is_taken = self._is_given_up = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within, with whoever else is; waits while somebody is alone, or waits to be."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_given_up or not (self._is_taken or self._num_waiting)
            )
            self._num_within += 1
        try:
            yield
        finally:
            with self._changed:
                self._num_within -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within, and nobody else is."""
        with self._changed:
            self._num_waiting += 1
            self._changed.wait_for(
                lambda: self._is_given_up or not (self._is_taken or self._num_within)
            )
            self._num_waiting -= 1
            self._is_taken = True
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    def give_up(self) -> None:
        """Nobody waits any more: the work is over."""
        with self._changed:
            self._is_given_up = True
            self._changed.notify_all()
