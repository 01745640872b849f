"""The road end to end, on videos made here: generate, index, search, show, adapt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tempme.datasets.pairs import Pair
from tempme.drawing.contact_sheet import SheetRow, contact_sheet
from tempme.index import Hit, Index, Progress, Report
from tempme.scenes import Scene, scenes, write_video
from tempme.video import Failure, Reading, load

CODECS = {"libx264": ".mp4", "libx265": ".mp4", "mpeg4": ".avi", "libvpx-vp9": ".webm"}
NUM_SHORT, NUM_LONG, SCENES_IN_LONG = 24, 6, 4  # per part; long videos join several scenes
SIZE, FPS = 224, 12
EVERY_SECONDS = 0.5  # windows of 6 s, about as long as a scene
THUMBNAIL = 96


@dataclass(frozen=True)
class Search:
    """A query, where its answer is, and what was found."""

    query: str
    kind: str
    answer: Pair
    hits: tuple[Hit, ...]

    @property
    def rank(self) -> int | None:
        """1-based place of the right moment among the hits."""
        return next((place for place, hit in enumerate(self.hits, 1) if self._is_right(hit)), None)

    def _is_right(self, hit: Hit) -> bool:
        """Whether the hit shows the right video while the middle of what was described is seen."""
        start, end = self.answer.start_seconds, self.answer.end_seconds
        middle = None if start is None or end is None else (start + end) / 2
        is_seen = middle is None or hit.start_seconds <= middle <= hit.end_seconds
        return is_seen and Path(hit.path).samefile(self.answer.video)


def make_videos(folder: Path, on_video: Callable[[int, int], None]) -> list[tuple[str, Pair]]:
    """About 60 videos in four codecs, 4 to 30 s long; a kind and a pair per scene."""
    folder.mkdir(parents=True, exist_ok=True)
    videos = _programme()
    told: list[tuple[str, Pair]] = []
    for number, acts in enumerate(videos):
        codec = list(CODECS)[number % len(CODECS)]
        name = acts[0].id if len(acts) == 1 else f"long-{acts[0].id}"
        pairs = write_video(
            acts, folder / f"{name}{CODECS[codec]}", size=SIZE, fps=FPS, codec=codec
        )
        firsts = {pair.start_seconds: pair for pair in reversed(pairs)}
        kind = acts[0].part if len(acts) == 1 else "moment"
        told += [(kind, pair) for _, pair in sorted(firsts.items())]
        on_video(number + 1, len(videos))
    return told


def build_index(videos: Path, index: Path, on_progress: Callable[[Progress], None]) -> Report:
    """Index the folder with the shipped model."""
    opened = Index.open(index, retriever="scenes-tiny", create=True, every_seconds=EVERY_SECONDS)
    return opened.add(videos, on_progress=on_progress)


def ask(index: Index, told: Sequence[tuple[str, Pair]], *, k: int = 3) -> tuple[Search, ...]:
    """Five searches: two of static scenes, two of temporal ones, one inside a long video."""
    wanted = {"static": 2, "temporal": 2, "moment": 1}
    searches = []
    for kind, count in wanted.items():
        pairs = [pair for one, pair in told if one == kind]
        # Evenly spread over what was generated, not picked by their answers.
        for pair in pairs[len(pairs) // 4 :: max(1, len(pairs) // 3)][:count]:
            hits = tuple(index.search(pair.caption, k))
            searches.append(Search(pair.caption, kind, pair, hits))
    return tuple(searches)


def draw_sheet(searches: Sequence[Search], path: Path) -> Path:
    """The best hit of every search, twelve frames of its span each."""
    rows = []
    for search in searches:
        hit = search.hits[0]
        step = (hit.end_seconds - hit.start_seconds) / 12
        times = [hit.start_seconds + (n + 0.5) * step for n in range(12)]
        frames = load(Path(hit.path), Reading(size=THUMBNAIL, sampling="exact"), seconds=times)
        if isinstance(frames, Failure):
            continue
        place = f"{hit.start_seconds:.1f}-{hit.end_seconds:.1f} s"
        title = f'"{search.query}"  ->  {Path(hit.path).name}  {place}  score {hit.score:.3f}'
        rows.append(SheetRow(title, frames.pixels))
    return contact_sheet(rows, path)


def teach(videos: Path, out: Path) -> tuple[str, ...]:
    """A model that merges, taught by the dense one on the videos; its figures, line by line.

    Short: to see what adapting says, not what it can reach.
    """
    from tempme.adapting.card import lines
    from tempme.adapting.run import adapt
    from tempme.adapting.settings import Adapting
    from tempme.index.header import Cutting

    cutting = Cutting(every_seconds=EVERY_SECONDS, fit="squash")
    short = Adapting(budget=0.5, windows=20, steps=4, batch=4, validate_every=2, cutting=cutting)
    return lines(adapt(videos, "scenes-tiny", out, short))


def _programme() -> list[tuple[Scene, ...]]:
    """Single scenes of both parts, twins side by side, and long videos of several scenes."""
    static = scenes(NUM_SHORT + NUM_LONG * SCENES_IN_LONG, part="static", split="test", seed=11)
    temporal = scenes(NUM_SHORT, part="temporal", split="test", seed=11)
    short = [(scene,) for scene in (*static[:NUM_SHORT], *temporal)]
    rest = static[NUM_SHORT:]
    long = [rest[first : first + SCENES_IN_LONG] for first in range(0, len(rest), SCENES_IN_LONG)]
    return [*short, *long]
