"""Some windows of a person's videos, evenly spread, as an index would cut them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from tempme.errors import BadVideo
from tempme.index.building.encode import Encoder
from tempme.index.building.kinds import keep
from tempme.index.building.lengths import windows_in
from tempme.index.building.scan import File, Unseen, find_files, given_paths
from tempme.index.header import Cutting
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.video import Failure, VideoWindows
from tempme.video.workers import decode_spread

HELD_OUT_EVERY = 5  # videos, or windows of one video
FEW_VIDEOS = 5


@dataclass(frozen=True, eq=False)
class Sample:
    """Windows ordered by video and time.

    pixels (W, F, S, S, 3) uint8; video (W,) the number of the video in `paths`, spans (W, 2)
    seconds. `failures` are files that gave none, `notes` videos read in part, `skipped` counts by
    rule what was passed over; `num_found` videos lie in the folders, of which more than there are
    windows are not looked at.
    """

    pixels: NDArray[np.uint8]
    video: NDArray[np.int64]
    spans: NDArray[np.float64]
    paths: tuple[Path, ...]
    num_found: int
    failures: tuple[Unseen, ...] = ()
    notes: tuple[Unseen, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.video)


@dataclass(frozen=True)
class Decoding:
    """What `Index.add` has the same settings for."""

    exclude: tuple[str, ...] = ()
    workers: int | None = None
    timeout_seconds: float = 120.0
    worker_memory_mb: float | None = WORKER_MEMORY_MB


def sample_windows(
    paths: Iterable[str | Path] | str | Path,
    retriever: Encoder,
    *,
    most: int,
    cutting: Cutting | None = None,
    decoding: Decoding | None = None,
    on_video: Callable[[int, int], None] = lambda *_: None,
) -> Sample:
    """At most so many windows of the videos at and below `paths`; the same ones every time.

    A longer video gives more of them. BadSetting for a path that does not exist, BadVideo where no
    video is found, or none can be read.
    """
    cutting, decoding = cutting or Cutting(fit="squash"), decoding or Decoding()
    found = find_files(given_paths(paths), exclude=decoding.exclude)
    kept = keep(found.files, takes_picture=lambda _: False)
    skipped = dict(Counter(found.skipped) + Counter(kept.skipped))
    failures = [*found.unreadable, *kept.unusable]
    if not kept.videos:
        raise BadVideo(_nothing(failures, "no video was found there"))
    wanted = _wanted(kept.videos, retriever, cutting, most)
    reading = cutting.reading(
        frames=retriever.num_frames,
        size=retriever.image_size,
        timeout_seconds=decoding.timeout_seconds,
    )
    answers = decode_spread(
        wanted, reading, workers=decoding.workers, worker_memory_mb=decoding.worker_memory_mb
    )
    taken = _Taken()
    for done, (path, answer) in enumerate(answers, 1):
        taken.add(path, answer)
        on_video(done, len(wanted))
    failures += taken.failures
    if not taken.parts:
        raise BadVideo(_nothing(failures, "no video could be read"))
    return taken.sample(len(kept.videos), failures, skipped)


def shares(lengths: Sequence[float], most: int) -> tuple[int, ...]:
    """How many of `most` windows each of some videos gives, by how many it has.

    Never more than it has, at least one each, and where there are more videos than windows, one of
    videos evenly spread.
    """
    if len(lengths) >= most:
        chosen = {place * len(lengths) // most for place in range(most)}
        return tuple(int(place in chosen) for place in range(len(lengths)))
    counts = [max(1, round(length)) for length in lengths]
    given = [1] * len(counts)
    left = min(most, sum(counts)) - len(counts)
    room = sum(counts) - len(counts)
    if room:  # the largest remainders take what rounding leaves
        parts = [left * (count - 1) / room for count in counts]
        given = [1 + int(part) for part in parts]
        rest = most_of(parts, min(most, sum(counts)) - sum(given))
        given = [each + (place in rest) for place, each in enumerate(given)]
    return tuple(given)


def most_of(parts: Sequence[float], count: int) -> frozenset[int]:
    """The places of the `count` largest remainders; of equal ones the first."""
    order = sorted(range(len(parts)), key=lambda place: (int(parts[place]) - parts[place], place))
    return frozenset(order[:count])


def held_out(sample: Sample) -> NDArray[np.bool_]:
    """(W,) True for windows that are not learnt from, and show nothing that is.

    Every fifth video; of less than five videos every fifth window, and then neighbours that show
    some of it are in neither part (`learnt`).
    """
    place = _place(sample.video)
    if place.max() + 1 >= FEW_VIDEOS:
        return np.asarray(place % HELD_OUT_EVERY == HELD_OUT_EVERY // 2)
    return np.asarray(np.arange(len(sample)) % HELD_OUT_EVERY == HELD_OUT_EVERY // 2)


def learnt(sample: Sample, apart: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(W,) True for windows that share no time of a video with any that is held out (`apart`)."""
    start, end = sample.spans[:, 0], sample.spans[:, 1]
    same = sample.video[:, None] == sample.video[None, apart]
    meets = (start[:, None] < end[None, apart]) & (start[None, apart] < end[:, None])
    return np.asarray(~(same & meets).any(axis=1) & ~apart)


def _place(video: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(video, return_inverse=True)[1].astype(np.int64)


def _wanted(
    files: Sequence[File], retriever: Encoder, cutting: Cutting, most: int
) -> dict[Path, int]:
    """How many windows of each file; one that does not say how long it is counts as the median."""
    known = windows_in(files, frames=retriever.num_frames, cutting=cutting)
    usual = median(known.values()) if known else float(most)
    counts = shares([known.get(file.path, usual) for file in files], most)
    return {file.path: count for file, count in zip(files, counts, strict=True) if count}


class _Taken:
    """What the decoders have answered so far."""

    def __init__(self) -> None:
        self.parts: dict[Path, VideoWindows] = {}
        self.failures: list[Unseen] = []
        self.notes: list[Unseen] = []

    def add(self, path: Path, answer: VideoWindows | Failure) -> None:
        """An answer to a file."""
        if isinstance(answer, Failure):
            self.failures.append(Unseen(path, answer.reason))
            return
        self.parts[path] = answer
        if answer.note:
            self.notes.append(Unseen(path, answer.note))

    def sample(
        self, num_found: int, failures: Sequence[Unseen], skipped: Mapping[str, int]
    ) -> Sample:
        """All of it, by path and time; what has been copied is given back at once."""
        paths = sorted(self.parts)
        counts = [len(self.parts[path].windows) for path in paths]
        spans = np.concatenate([self.parts[path].spans for path in paths])
        first = self.parts[paths[0]]
        shape = (sum(counts), first.windows.shape[1], *first.pixels.shape[1:])
        pixels = np.empty(shape, np.uint8)
        place = 0
        for path, count in zip(paths, counts, strict=True):
            part = self.parts.pop(path)
            pixels[place : place + count] = part.pixels[part.windows]
            place += count
        return Sample(
            pixels=pixels,
            video=np.repeat(np.arange(len(paths)), counts).astype(np.int64),
            spans=spans,
            paths=tuple(paths),
            num_found=num_found,
            failures=tuple(sorted(failures, key=lambda item: item.path)),
            notes=tuple(sorted(self.notes, key=lambda item: item.path)),
            skipped=skipped,
        )


def _nothing(failures: Sequence[Unseen], what: str) -> str:
    first = sorted(failures, key=lambda item: item.path)[:3]
    told = "; ".join(f"{item.path}: {item.reason}" for item in first)
    more = f" and {len(failures) - 3:,} more" if len(failures) > 3 else ""
    return f"{what}" + (f" ({told}{more})" if told else "") + ": name videos, or folders of them"
