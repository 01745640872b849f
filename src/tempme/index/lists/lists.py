"""The lists of an index for whoever searches: opened once, and again when something has changed."""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path

from tempme.index.lists.array_file import Unusable
from tempme.index.lists.opened import OpenLists, open_lists, remove_lists, stamp_of
from tempme.index.lists.view import ListsView, fresh, num_new, view_as_written, view_of
from tempme.index.stores.store import Store


class Lists:
    """The lists in an index folder, brought up to what `store` holds; `width` is that of rows.

    Lists that lack more than `most_new` moments are not used: who holds those in memory has to
    fetch them first.
    """

    def __init__(
        self, folder: Path, store: Store, *, width: int, most_new: float = math.inf
    ) -> None:
        self._folder, self._store, self._width = folder, store, width
        self._most_new = most_new
        self._opened: OpenLists | None = None
        self._known: tuple[str, ListsView | None] | None = None
        self._passed_over = ""
        self._lock = threading.Lock()

    def view(self) -> ListsView | None:
        """The index as it is now; None where it has no lists that can be used."""
        stamp = stamp_of(self._folder)
        if not stamp or stamp == self._passed_over:
            return None
        state = f"{self._store.version()} {stamp}"
        with self._lock:  # of several searches one brings it up to date
            known = self._known
            if known is None or known[0] != state:
                try:
                    known = (state, self._look(stamp))
                except Unusable as error:
                    self.drop(error, stamp)
                    return None
                self._known = known
            return known[1]

    def drop(self, why: Unusable, stamp: str | None = None) -> None:
        """Remove lists that are damaged, so that the next run that writes makes them anew."""
        if stamp is None and self._opened is None:  # another look came upon it before
            return
        stamp = stamp or (self._opened.stamp if self._opened else "")
        is_gone = remove_lists(self._folder, stamp=stamp)
        self._opened = self._known = None
        self._passed_over = stamp
        logging.getLogger("tempme").warning(
            "the index %s has damaged search lists (%s); they are %s, and searches are slower "
            "until the next `tempme index` makes them anew",
            self._folder,
            why,
            "removed" if is_gone else "passed over",
        )

    def _look(self, stamp: str) -> ListsView | None:
        opened = self._opened
        if opened is None or opened.stamp != stamp:
            opened = open_lists(self._folder, width=self._width)
            if opened is None:
                raise Unusable("they were removed")
            self._opened = opened
        if opened.facts.version == self._store.version():
            return view_as_written(opened, width=self._width)
        if self._most_new < math.inf and num_new(self._store, opened) > self._most_new:
            return None
        return view_of(opened, fresh(self._store, opened))
