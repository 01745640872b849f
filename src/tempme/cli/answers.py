"""How hits are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tempme.cli.output import counted, print_json, print_table, say, shown_path, shown_time

if TYPE_CHECKING:
    from tempme.index import Hit, Index

HEAD = ("score", "confidence", "from", "to", "path")


def answer(
    index: Index,
    hits: Sequence[Hit],
    *,
    asked: Mapping[str, str],
    k: int,
    as_json: bool,
    notes: Sequence[str] = (),
) -> None:
    """Hits as a table or a JSON document; on stderr the model, and why there are few of them.

    `notes` are what there is to say of the query.
    """
    from tempme.index.reranking import MatchedHit

    for note in notes:
        say(f"warning: {note}")
    if as_json:
        found = [hit.as_dict() for hit in hits]
        left_out = len(index.left_out())
        print_json(
            {
                **asked,
                "index": str(index.name),
                "notes": list(notes),
                "hits": found,
                "left_out": left_out,
            }
        )
    elif hits:
        again = any(isinstance(hit, MatchedHit) for hit in hits)
        rows = [row for hit in hits for row in _rows(hit, again=again)]
        head = ("match", *HEAD) if again else HEAD
        print_table(head, rows, right=[head.index(name) for name in ("from", "to")])
    if index.num_moments():
        say(model_line(index))
    if hits and all(hit.confidence == "none" for hit in hits):
        say(
            "nothing matches well: a query about something that is not there would score as high; "
            "try other words, or say more of what is seen"
        )
    if left_out := len(index.left_out()):
        say(damage_line(index.name, left_out))
    elif len(hits) < k:
        say(_shortfall(index, len(hits)))


def damage_line(folder: Path | str, number: int) -> str:
    """How many videos an index has lost, and what mends it."""
    return (
        f"warning: {counted(number, 'video')} left out, damaged or lost in the index; "
        f"`tempme check --index {folder} --repair` embeds them again"
    )


def model_line(index: Index) -> str:
    """The name of an index's model, and where its weights are from."""
    from tempme.index.model import MODEL_FOLDER

    source, origin = index.header.source, index.model.origin
    return f"model: {origin}" if source in (MODEL_FOLDER, origin) else f"model: {source} ({origin})"


def say_missing(paths: Sequence[Path]) -> None:
    """What is known and cannot be found, and what to do; nothing if that is nothing."""
    if paths:
        say(
            f"missing: {counted(len(paths), 'known video')} cannot be found, such as "
            f"{shown_path(paths[0])}: mount the disk, or remove them with `tempme index PATH "
            "--prune` or `tempme forget PATH`"
        )


def _rows(hit: Hit, *, again: bool) -> list[tuple[str, ...]]:
    """A line for the hit, and one for each other file with the same content."""
    from tempme.index.reranking import MatchedHit

    match = f"{hit.match:.3f}" if isinstance(hit, MatchedHit) else ""
    start, end = shown_time(hit.start_seconds), shown_time(hit.end_seconds)
    if hit.start_seconds == hit.end_seconds:
        start, end = "picture", ""
    first: tuple[str, ...] = (
        *(f"{hit.score:.3f}", hit.confidence, start, end),
        shown_path(hit.path),
    )
    same = (("same", "", "", "", shown_path(path)) for path in hit.paths[1:])
    if not again:
        return [first, *same]
    return [(match, *first), *(("", *row) for row in same)]


def _shortfall(index: Index, found: int) -> str:
    if not index.num_moments():
        fill = f"tempme index PATH --index {index.name}"
        return f"the index {index.name} holds no videos yet; fill it with `{fill}`"
    if not found:
        return "no hit: try other words, or a lower --min-score"
    return f"{counted(found, 'hit')}: the index holds no more that fit"
