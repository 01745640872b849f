"""Counters of the service in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tempme.errors import TempmeError
from tempme.serving.library import Library

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The counters of one service; several services in one process do not share any."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tempme_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "tempme_request_seconds",
            "Time to the first byte of an answer, by route.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.searches = Counter(
            "tempme_searches",
            "Searches by the confidence of their best hit.",
            ("confidence",),
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "tempme_search_batch_size",
            "Searches that were answered together.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self._videos = Gauge(
            "tempme_videos", "Files of the index by status.", ("status",), registry=self.registry
        )
        self._moments = Gauge(
            "tempme_moments", "Moments of the index, of equal files once.", registry=self.registry
        )
        self._is_up = Gauge(
            "tempme_index_up", "Whether the index can be read.", registry=self.registry
        )
        self.indexing = Gauge(
            "tempme_indexing", "Whether a job is writing to the index.", registry=self.registry
        )

    def text(self, library: Library) -> bytes:
        """All of it now; what the index holds only while it can be read."""
        try:
            shelf = library.shelf()
        except TempmeError:
            self._is_up.set(0)
            return generate_latest(self.registry)
        self._is_up.set(1)
        self._videos.labels("ok").set(len(shelf.good))
        self._videos.labels("failed").set(len(shelf.videos) - len(shelf.good))
        self._moments.set(sum(copies[0].num_moments for copies in shelf.by_id.values()))
        return generate_latest(self.registry)
