"""How hits are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tempme.cli.output import counted, print_json, print_table, say, shown_path, shown_time
from tempme.index import Hit, Index
from tempme.index.model import MODEL_FOLDER


def answer(
    index: Index, hits: Sequence[Hit], *, asked: Mapping[str, str], k: int, as_json: bool
) -> None:
    """Hits as a table or a JSON document; on stderr the model, and why there are few of them."""
    if as_json:
        found = [hit.as_dict() for hit in hits]
        left_out = len(index.left_out())
        print_json({**asked, "index": str(index.path), "hits": found, "left_out": left_out})
    elif hits:
        print_table(("score", "from", "to", "path"), [_row(hit) for hit in hits], right=(1, 2))
    if index.num_moments():
        say(model_line(index))
    if left_out := len(index.left_out()):
        say(damage_line(index.path, left_out))
    elif len(hits) < k:
        say(_shortfall(index, len(hits)))


def damage_line(folder: Path, number: int) -> str:
    """How many videos an index has lost, and what mends it."""
    return (
        f"warning: {counted(number, 'video')} left out, damaged or lost in the index; "
        f"`tempme check --index {folder} --repair` embeds them again"
    )


def model_line(index: Index) -> str:
    """The name of an index's model, and where its weights are from."""
    source, origin = index.header.source, index.retriever.origin
    return f"model: {origin}" if source in (MODEL_FOLDER, origin) else f"model: {source} ({origin})"


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
