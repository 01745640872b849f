"""What is shown of hits: their files, and of a video the best of its distinct moments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tempme.index import Hit, Index
from tempme.index.search import Asked
from tempme.serving.library import Library, Shelf
from tempme.serving.schema import HitOut, MomentOut
from tempme.serving.scored import ScoredVideo, best_of_each
from tempme.uris import uri_of

MOMENTS_OF_A_VIDEO = 6


def shown(index: Index, library: Library, hits: Sequence[Hit], asked: Asked) -> list[HitOut]:
    """Hits with what is known of their videos; of videos, rather than moments, with some of theirs.

    What was removed while we searched is left out.
    """
    shelf = library.shelf()
    is_grouped = not asked.request.moments
    moments = _moments_of(index, library, shelf, hits, asked) if is_grouped and hits else {}
    told = []
    for hit in hits:
        video = next((v for v in shelf.by_id.get(hit.video_id, ()) if v.path == hit.path), None)
        if video is None:
            continue
        told.append(
            HitOut.model_validate(
                {
                    **hit.as_dict(),
                    "path": text_of(hit.path),
                    "paths": [text_of(path) for path in hit.paths],
                    "name": text_of(hit.path.name),
                    "duration_seconds": round(video.duration_seconds, 3),
                    "width": video.width,
                    "height": video.height,
                    "moments": moments.get(hit.video_id, []),
                }
            )
        )
    return told


def _moments_of(
    index: Index, library: Library, shelf: Shelf, hits: Sequence[Hit], asked: Asked
) -> dict[str, list[MomentOut]]:
    """The best distinct moments of the video of each hit."""
    found = library.galleries([hit.video_id for hit in hits], shelf).values()
    scored = [ScoredVideo.of(gallery, asked.queries) for gallery in found if len(gallery)]
    return best_of_each(scored, index.judge(asked.kind), MOMENTS_OF_A_VIDEO)


def text_of(path: Path | str) -> str:
    """A path as text that UTF-8 can carry: bytes that are not UTF-8 are shown as escapes."""
    return uri_of(path).encode("utf-8", "backslashreplace").decode()
