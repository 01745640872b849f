"""All that a running service holds, put together once and closed at its end."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from tempme.errors import BadIndex
from tempme.index import Index
from tempme.index.watching import follow
from tempme.serving.answering import Answering, SearchOrder
from tempme.serving.jobs import JobOrder, Jobs
from tempme.serving.library import Library
from tempme.serving.listeners import Listeners
from tempme.serving.media.media import Media
from tempme.serving.metrics import Metrics
from tempme.serving.pipeline import Pipeline
from tempme.serving.problems import Problem
from tempme.serving.schema import SearchAnswer
from tempme.serving.searching import QueryFeatures, Remembered
from tempme.serving.settings import ServeSettings
from tempme.serving.threads import on_all_cores, on_one_core
from tempme.serving.uploads import Uploads

CACHE = "cache"
LISTS_SECONDS = 300.0


class Service:
    """The parts that routes use."""

    def __init__(self, index: Index, settings: ServeSettings) -> None:
        limits = settings.limits
        self.index, self.settings = index, settings
        self._roots = tuple(Path(os.path.realpath(root)) for root in settings.roots)
        self.library = Library(index)
        self.metrics = Metrics()
        self.jobs = Jobs(index, begin=on_all_cores(), check=self.library.shelf)
        self.media = Media(settings.cache or index.path / CACHE, limits)
        self.uploads = Uploads(index, limits)
        self.kept = Remembered(limits.kept_uploads)
        self.listeners = Listeners(limits.listeners)
        self.features = QueryFeatures(index, cached=limits.cached_queries)
        answering = Answering(
            index,
            self.library,
            features=self.features,
            uploads=self.kept,
            metrics=self.metrics,
        )
        self.searches: Pipeline[SearchOrder, SearchAnswer] = Pipeline(
            *answering.stages(batch=limits.batch), begin=on_one_core
        )
        self._warm, self._stop = threading.Event(), threading.Event()

    def warm(self) -> None:
        """Load the model and the moments, so that the first search is as quick as any."""
        on_one_core()
        shelf = self.library.shelf()
        assert self.index.retriever
        if shelf.good:
            self.index.judge("text")
        self._warm.set()

    def watch(self) -> None:
        """Index what changes below the roots, until the service ends; call it in a thread."""
        roots = self.roots()
        for number, paths in enumerate(follow(roots, stop=self._stop)):
            self.jobs.start(JobOrder(paths, prune=True, force=number > 0, within=roots))

    def keep_lists(self) -> None:
        """Lists on this machine of an index elsewhere, until the end; call it in a thread."""
        on_one_core()
        while True:
            try:
                self.index.searcher.list_here()
            except BadIndex as error:  # the store may be back by the next time
                logging.getLogger("tempme").warning("no search lists are made: %s", error)
            if self._stop.wait(LISTS_SECONDS):
                return

    @property
    def is_ready(self) -> bool:
        """Whether the model is loaded."""
        return self._warm.is_set()

    def roots(self) -> tuple[Path, ...]:
        """The folders that may be indexed from outside.

        They are what they were when the service began, or when they were indexed: a link that takes
        the place of one leads nowhere.
        """
        return self._roots or self.library.shelf().folders()

    def allowed(self, path: str) -> Path:
        """The real path; Problem where it lies outside of the roots, or is not there."""
        try:
            real = Path(os.path.realpath(Path(path).expanduser()))
        except (OSError, ValueError, RuntimeError):
            real = Path("/")
        roots = self.roots()
        if not any(real.is_relative_to(root) for root in roots):
            told = ", ".join(map(str, roots)) or "none yet: start the service with --root FOLDER"
            raise Problem(
                403, "outside-roots", f"{path} may not be indexed from here; allowed: {told}"
            )
        if not real.exists():
            raise Problem(422, "no-such-folder", f"no such file or folder: {path}")
        return real

    def close(self) -> None:
        """End threads and processes; a run of indexing keeps what it has finished."""
        self._stop.set()
        self.jobs.close()
        self.searches.close()
        self.media.close()
        self.uploads.close()
