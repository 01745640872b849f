"""The index as a person meets it: open, add, search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.engines.choice import ANY_ENGINE, EngineChoice
from tempme.errors import BadSetting
from tempme.index.building.encode import Encoder
from tempme.index.building.report import Progress, Report
from tempme.index.building.scan import given_paths
from tempme.index.confidence import Judge, Kind
from tempme.index.creating import NEW_FIT, begin, begin_with_copy
from tempme.index.far import Far, begin_with, keep_beside, local_store, open_far
from tempme.index.file_query import file_features
from tempme.index.folder import check_new, check_plain, check_present
from tempme.index.header import NAME, Cutting, Header, identity, read_header
from tempme.index.lock import writing
from tempme.index.model import IndexModel, model_to_begin, on_engine, opened_model
from tempme.index.moments import Gallery, Hit, Video
from tempme.index.reranking import Again
from tempme.index.search import Asked, Request, request_of
from tempme.index.searcher import Searcher
from tempme.index.status import Status
from tempme.index.stores.damage import Damage
from tempme.index.upkeep import Repair, in_order, inspected, repaired
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.uris import is_remote, uri_of
from tempme.video.values import TOTAL_SECONDS, Fit, Sampling


class Index:
    """A folder with the moments of videos and the name of the model that made them.

    Made by `Index.create`, come back to by `Index.open`; the model loads itself when it is needed.
    """

    def __init__(
        self, path: Path, header: Header, model: IndexModel | None = None, far: Far | None = None
    ) -> None:
        self.path, self.header, self.model = path, header, model or IndexModel(path, header)
        self.name = far.name if far else str(path)  # what a person calls it
        self._store = far.store if far else local_store(path, header)
        text = partial(self.model.side, "text")
        self.searcher = Searcher(path, header, self._store, encoder=text, is_far=bool(far))

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        retriever: Encoder | str | None = None,
        create: bool | str | Encoder = False,
        running: EngineChoice = ANY_ENGINE,
        **cutting: Any,
    ) -> Index:
        """The index at `path`.

        retriever: a model, or what `tempme.load` takes, that has to be the one that made the index;
        without it the index brings its own. create: the same, and where there is no index, make one
        with it (True: with `retriever`, or published CLIP), cut as `cutting` says: see `create`.
        running: the engine and precision that encode; by default those that made the index.
        """
        retriever = retriever if isinstance(create, bool) else create
        if is_remote(path):
            if create:
                again = partial(cls.open, retriever=retriever, create=create, running=running)
                begin_with(uri_of(path), partial(again, **cutting))
            return cls._far(uri_of(path), retriever, running, cutting)
        folder = Path(path).expanduser()
        if create and not (folder / NAME).exists():
            return cls._created(folder, retriever, {"running": running, **cutting})
        header = read_header(folder)
        check_plain(folder)
        header.cutting.check_same(cutting, folder)
        return cls(folder, header, opened_model(folder, header, retriever, running))

    @classmethod
    def _created(cls, folder: Path, retriever: Encoder | str | None, settings: Any) -> Index:
        check_new(folder)  # before a model is loaded, or even fetched
        if begin_with_copy(folder, retriever, settings):
            return cls.open(folder, **settings)
        model, source = model_to_begin(retriever)
        made = cls.create(folder, model, source=source, **settings)
        return made if source or model is retriever else cls.open(folder, **settings)  # leaner

    @classmethod
    def _far(cls, uri: str, given: Encoder | str | None, running: EngineChoice, cut: Any) -> Index:
        far = open_far(uri)
        far.header.cutting.check_same(cut, Path(far.name))
        model = opened_model(far.folder, far.header, given, running)
        return cls(far.folder, far.header, model, far)

    @classmethod
    def create(
        cls,
        path: str | Path,
        retriever: Encoder,
        *,
        source: str | None = None,
        every_seconds: float = 1.0,
        overlap: float = 0.5,
        sampling: Sampling = "auto",
        fit: Fit = NEW_FIT,
        distinct: float = 0.0,
        running: EngineChoice = ANY_ENGINE,
    ) -> Index:
        """A new index at `path`, or the one there if the same model made it.

        `source` is what `tempme.load` takes to load the model again (a name or hub id). Without
        it the model is saved into the index, which then needs nothing else. `fit`: frames that are
        no squares are squashed, which finds what is at their edges, too, cropped, or padded.
        `distinct`: moments nearer (1 - cosine) to the one before are kept out, which grows.
        """
        folder = Path(path).expanduser()
        if not (folder / NAME).exists():
            cutting = Cutting(every_seconds, overlap, sampling, fit, distinct)
            retriever = on_engine(retriever, running)
            begin(folder, retriever, cutting, source=source)
        return cls.open(folder, retriever=retriever, running=running)

    @property
    def retriever(self) -> Encoder:
        """The model of this index, ready to encode; loaded at the first use."""
        return self.model.ready()

    def add(
        self,
        paths: Iterable[str | Path] | str | Path,
        *,
        prune: bool = False,
        force: bool = False,
        retry_failed: bool = False,
        pictures: bool = False,
        exclude: Sequence[str] = (),
        workers: int | None = None,
        threads: int | None = None,
        timeout_seconds: float = 120.0,
        total_seconds: float = TOTAL_SECONDS,
        worker_memory_mb: float | None = WORKER_MEMORY_MB,
        within: Iterable[Path] = (),
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Report:
        """Index all videos at and below `paths`; what is known and unchanged costs nothing.

        prune: remove videos below `paths` whose files are gone; where most are, as if a disk were
        not mounted, BadSetting unless `force`. retry_failed: try known failures again. pictures:
        take those in folders, too. exclude: patterns as in a .gitignore, below each path. within:
        real folders out of which no link is followed. workers: processes that decode; threads: of
        the model; None shares the cores. timeout_seconds: for the next frame of a video,
        total_seconds: for all of it, of a longer one the part read by then is kept.
        worker_memory_mb: what a decoding process may hold; a video that needs more fails. None: no
        limit, as always on Windows.
        """
        from tempme.index.building.build import Build
        from tempme.index.building.order import RunOrder

        order = RunOrder(
            paths=given_paths(paths),
            prune=prune,
            force=force,
            retry_failed=retry_failed,
            pictures=pictures,
            exclude=tuple(exclude),
            workers=workers,
            threads=threads,
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
            worker_memory_mb=worker_memory_mb,
            within=tuple(within),
        )
        with in_order(self.path, self._store, lambda: self.retriever.fingerprint):
            report = Build(  # let go at once: to settle takes the text side, and its memory
                self._store,
                self.model.side("vision"),
                cutting=self.header.cutting,
                order=order,
                check=partial(check_present, self.path),
                on_progress=on_progress,
            ).run()
            self.settle()
        return report

    def settle(self) -> None:
        """After a run: what searches need besides the moments is made, and kept with the index."""
        self.searcher.settle()
        keep_beside(self.name, self.path)

    def check(self) -> Damage:
        """What is damaged, after a look at every row, every moment, and a model kept inside."""
        return inspected(self._store, self.header, lambda: self.retriever)

    def repair(self, *, workers: int | None = None) -> Repair:
        """Take out what `check` finds, and embed it again where its file is there."""
        again = partial(self.add, workers=workers)
        return repaired(
            self.path, self._store, self.check(), lambda: self.retriever.fingerprint, again
        )

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        min_score: float | None = None,
        moments: bool = False,
        under: str | Path | None = None,
        rerank: int | None = None,
    ) -> list[Hit]:
        """The k videos (or `moments`) that show `query` best, each by its best moment.

        Files of equal content are one hit with several paths. moments: a video may come several
        times, with moments that neither overlap nor touch. under: only videos in this folder.
        rerank: so many of the best are looked at again, by the match head of a model that has one.
        """
        if not query.strip():
            raise BadSetting("the query is empty; write what the video shows")
        request = request_of(k, min_score, moments, under, self.videos)
        if not self.num_moments():
            return []
        again = Again(rerank, self.header.cutting, lambda: self.retriever)
        hits = self.answer(self.model.encode([query]), again.wider(request))
        return again.hits(query, hits)[:k]

    def similar(
        self,
        file: str | Path,
        k: int = 10,
        *,
        min_score: float | None = None,
        moments: bool = False,
        under: str | Path | None = None,
    ) -> list[Hit]:
        """The k videos most like a video or picture; see `search` for the rest."""
        request = request_of(k, min_score, moments, under, self.videos)
        return self.answer(self.features_of(Path(file).expanduser()), request, kind="visual")

    def left_out(self) -> tuple[Path, ...]:
        """The files whose moments are damaged or lost, so that no search finds them."""
        return self.searcher.left_out()

    def num_moments(self) -> int:
        """How many moments a search looks at."""
        return self.searcher.num_moments()

    def videos(self) -> tuple[Video, ...]:
        """Every file the index knows, failed ones too, ordered by path."""
        return self._store.videos()

    def status(self) -> Status:
        """Counts, the model, and what failed."""
        return Status.of(self.path, self.header, self._store, name=self.name)

    def notes_on(self, query: str) -> tuple[str, ...]:
        """What the model does not take in of a query, in words for a person; mostly nothing."""
        unread = self.model.unread(query) if self.num_moments() else ""
        return (unread,) if unread else ()

    def forget(self, paths: Iterable[str | Path] | str | Path) -> tuple[Path, ...]:
        """Remove the rows at and below `paths`, not the files; the paths removed.

        BadSetting for a path at and below which the index knows nothing; then nothing is removed.
        """
        from tempme.index.forgetting import forget

        with writing(self.path):
            return forget(self._store, given_paths(paths))

    def version(self) -> str:
        """A word that changes with everything that is written into the index."""
        return f"{self._store.version()} {identity(self.path)}"

    def moments_of(self, *video_ids: str) -> Gallery:
        """The moments of contents in order of time; of what the index does not have, none."""
        return self.searcher.moments_of(video_ids)

    def answer(
        self, queries: NDArray[np.float32], request: Request, *, kind: Kind = "text"
    ) -> list[Hit]:
        """Hits for features (Q, D), unit rows, which are of words or of pictures (`kind`)."""
        return self.answer_all([Asked(queries, request, kind)])[0]

    def answer_all(self, asked: Sequence[Asked]) -> list[list[Hit]]:
        """The hits of several searches, which go through the moments together."""
        return self.searcher.answer_all(asked)

    def judge(self, kind: Kind) -> Judge:
        """What tells how sure hits are, for queries of words or of pictures."""
        return self.searcher.judge(kind)

    def features_of(self, file: Path) -> NDArray[np.float32]:
        """Unit features (Q, D) of the windows of a video, or of a picture; BadVideo if neither."""
        return file_features(self.model.side("vision"), file, self.header.cutting)
