"""Features of videos without an index: for other programs, notebooks, and stores of one's own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempme.index.building.digests import Identified
from tempme.index.building.encode import Encoder, encode_windows, why_unusable
from tempme.index.building.kinds import keep
from tempme.index.building.lengths import windows_in
from tempme.index.building.pace import Pace, share_of
from tempme.index.building.pictures import Picture, encode_pictures, read_pictures
from tempme.index.building.report import Progress
from tempme.index.building.scan import File, Unseen, find_files, given_paths
from tempme.index.header import Cutting
from tempme.processes.cores import sharing_cores
from tempme.video import TOTAL_SECONDS, Failure, VideoWindows, decode_many

NO_FEATURE = "the model gave no usable feature ({}) for it"


@dataclass(frozen=True, eq=False)
class Features:
    """The moments of some files, ordered by path and time.

    Moment i is `features[i]` (D,), of unit length, of `paths[i]` from `spans[i, 0]` to
    `spans[i, 1]` seconds; a picture is one moment from 0 to 0. `failures` are files that gave
    nothing, `notes` videos that were read in part; `skipped` counts by rule.
    """

    paths: tuple[Path, ...]
    spans: NDArray[np.float64]
    features: NDArray[np.float32]
    model: str
    fingerprint: str
    frames: int
    cutting: Cutting
    seconds: float
    failures: tuple[Unseen, ...] = ()
    notes: tuple[Unseen, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Part:
    """Moments of one file."""

    path: Path
    spans: NDArray[np.float64]
    features: NDArray[np.float32]


def extract_features(
    paths: Iterable[str | Path] | str | Path,
    retriever: Encoder,
    *,
    cutting: Cutting | None = None,
    pictures: bool = False,
    exclude: Sequence[str] = (),
    workers: int | None = None,
    threads: int | None = None,
    timeout_seconds: float = 120.0,
    total_seconds: float = TOTAL_SECONDS,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Features:
    """The features of all moments of the videos at and below `paths`.

    Which files are taken, and what the settings mean, is as in `Index.add`; they are held in
    memory, 2 kB a moment at 512 numbers. BadSetting for a path that does not exist.
    """
    extraction = _Extraction(retriever, cutting or Cutting(), on_progress)
    found = find_files(given_paths(paths), exclude=exclude)
    kept = keep(found.files, takes_picture=lambda _: pictures)
    extraction.start((*kept.videos, *kept.pictures))
    extraction.take_pictures(kept.pictures)
    extraction.take_videos(
        kept.videos,
        workers=workers,
        threads=threads,
        timeout_seconds=timeout_seconds,
        total_seconds=total_seconds,
    )
    extraction.failures += [*found.unreadable, *kept.unusable]
    return extraction.result(dict(Counter(found.skipped) + Counter(kept.skipped)))


class _Extraction:
    """What has come so far."""

    def __init__(
        self, retriever: Encoder, cutting: Cutting, on_progress: Callable[[Progress], None]
    ) -> None:
        self.retriever, self.cutting, self.on_progress = retriever, cutting, on_progress
        self.failures: list[Unseen] = []
        self.notes: list[Unseen] = []
        self._parts: list[_Part] = []
        self._pieces: dict[Path, list[_Part]] = {}
        self._total = 0
        self._pace = Pace()
        self._done = 0
        self._begin = time.monotonic()

    def start(self, files: Sequence[File]) -> None:
        """So much is to be done."""
        lengths = windows_in(files, frames=self.retriever.num_frames, cutting=self.cutting)
        self._pace.start(files, lambda file: lengths.get(file.path))
        self._total = len(files)
        self.on_progress(self._progress(None))

    def take_pictures(self, files: Sequence[File]) -> None:
        """The features of pictures."""
        items = (Identified(file, "") for file in files)
        for batch in read_pictures(items, self.retriever.image_size, self.cutting.fit):
            pictures = [answer for _, answer in batch if isinstance(answer, Picture)]
            for answer in (answer for _, answer in batch if isinstance(answer, Failure)):
                self._close(answer.path, answer.reason)
            features = encode_pictures(self.retriever, pictures)
            for picture, feature in zip(pictures, features, strict=True):
                part = _Part(picture.item.file.path, np.zeros((1, 2)), feature[None])
                self._finish(part.path, [part])

    def take_videos(
        self,
        files: Sequence[File],
        *,
        workers: int | None,
        threads: int | None,
        timeout_seconds: float,
        total_seconds: float,
    ) -> None:
        """The features of videos, decoding while the encoder works."""
        reading = self.cutting.reading(
            frames=self.retriever.num_frames,
            size=self.retriever.image_size,
            timeout_seconds=timeout_seconds,
            total_seconds=total_seconds,
        )
        answers = decode_many((file.path for file in files), reading, workers=workers)
        for path, answer in sharing_cores(answers, threads=threads):
            if isinstance(answer, Failure):
                self._pieces.pop(path, None)
                self._close(path, answer.reason)
            else:
                self._take(path, answer)

    def result(self, skipped: Mapping[str, int]) -> Features:
        """All of it, ordered by path and time."""
        parts = sorted(self._parts, key=lambda part: part.path)
        width = self.retriever.feature_size
        return Features(
            paths=tuple(part.path for part in parts for _ in part.spans),
            spans=np.concatenate([np.zeros((0, 2)), *(part.spans for part in parts)]),
            features=np.concatenate(
                [np.zeros((0, width), np.float32), *(part.features for part in parts)]
            ),
            model=self.retriever.origin,
            fingerprint=self.retriever.fingerprint,
            frames=self.retriever.num_frames,
            cutting=self.cutting,
            seconds=time.monotonic() - self._begin,
            failures=tuple(sorted(self.failures, key=lambda item: item.path)),
            notes=tuple(sorted(self.notes, key=lambda item: item.path)),
            skipped=skipped,
        )

    def _take(self, path: Path, piece: VideoWindows) -> None:
        features = encode_windows(self.retriever, piece.pixels, windows=piece.windows)
        pieces = self._pieces.setdefault(path, [])
        pieces.append(_Part(path, piece.spans, features))
        self._pace.reach(path, len(piece.windows), share_of(piece))
        if not piece.is_last:
            self.on_progress(self._progress(path))
            return
        if piece.note:
            self.notes.append(Unseen(path, piece.note))
        self._finish(path, self._pieces.pop(path))

    def _finish(self, path: Path, parts: Sequence[_Part]) -> None:
        problem = why_unusable(np.concatenate([part.features for part in parts]))
        if not problem:
            self._parts += parts
        self._close(path, NO_FEATURE.format(problem) if problem else "")

    def _close(self, path: Path, reason: str) -> None:
        if reason:
            self.failures.append(Unseen(path, reason))
        self._pace.finish(path)
        self._done += 1
        self.on_progress(self._progress(path))

    def _progress(self, path: Path | None) -> Progress:
        return Progress(
            total=self._total,
            done=self._done,
            total_bytes=self._pace.total_bytes,
            done_bytes=self._pace.done_bytes,
            new=self._done - len(self.failures),
            failed=len(self.failures),
            seconds=time.monotonic() - self._begin,
            decode_seconds=0.0,
            encode_seconds=0.0,
            path=path,
            eta_seconds=self._pace.eta_seconds,
        )
