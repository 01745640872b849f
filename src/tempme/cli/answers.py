"""How hits are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tempme.cli.output import counted, print_json, print_table, say, shown_path, shown_time
from tempme.index import Hit, Index


def answer(
    index: Index, hits: Sequence[Hit], *, asked: Mapping[str, str], k: int, as_json: bool
) -> None:
    """Hits as a table or a JSON document, and on stderr why there are fewer than asked for."""
    if as_json:
        print_json({**asked, "index": str(index.path), "hits": [hit.as_dict() for hit in hits]})
    elif hits:
        print_table(("score", "from", "to", "path"), [_row(hit) for hit in hits], right=(1, 2))
    if len(hits) < k:
        say(_shortfall(index, len(hits)))


def _row(hit: Hit) -> tuple[str, ...]:
    start, end = shown_time(hit.start_seconds), shown_time(hit.end_seconds)
    return f"{hit.score:.3f}", start, end, shown_path(hit.path)


def _shortfall(index: Index, found: int) -> str:
    if not index.num_moments():
        fill = f"tempme index PATH --index {index.path}"
        return f"the index {index.path} holds no videos yet; fill it with `{fill}`"
    if not found:
        return "no hit: try other words, or a lower --min-score"
    return f"{counted(found, 'hit')}: the index holds no more that fit"
