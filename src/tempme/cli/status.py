"""`tempme status`: what an index holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.answers import damage_line, say_missing
from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder
from tempme.cli.output import (
    counted,
    print_json,
    print_line,
    print_table,
    say,
    say_some,
    shown_path,
    shown_time,
)

if TYPE_CHECKING:
    from tempme.index import Status

app = typer.Typer(add_completion=False)


@app.command()
def status(
    index: IndexFolder = DEFAULT_INDEX,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed videos, and why.")] = False,
    notes: Annotated[
        bool, typer.Option("--notes", help="Only videos that were read in part, and how far.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what an index holds, which model made it, what failed, what is missing."""
    from tempme.index import Index

    found = Index.open(index).status()
    if as_json:
        print_json(found.as_dict())
    elif failed or notes:
        listed = (*(found.failed if failed else ()), *(found.notes if notes else ()))
        rows = [(video.reason, shown_path(video.path)) for video in listed]
        print_table(("reason", "path"), rows)
    else:
        _summary(found)


def _summary(found: Status) -> None:
    from rich.filesize import decimal

    if found.num_damaged:
        say(damage_line(found.path, found.num_damaged))
    more = {
        "failed (see --failed)": found.num_failed,
        "with a note (see --notes)": found.num_notes,
        "missing": found.num_missing,
    }
    told = "".join(f", {number:,} {kind}" for kind, number in more.items() if number)
    print_line(f"{found.path}: {counted(found.num_videos, 'video')}{told}")
    length = shown_time(found.duration_seconds)
    print_line(f"  {counted(found.num_moments, 'moment')} in {length} of video")
    if found.looked_at < 1:
        recall = "" if found.recall is None else f", finds {found.recall:.1%} of the ten nearest"
        print_line(f"  a search looks at {found.looked_at:.1%} of the moments{recall}")
    print_line(f"  model {found.model} ({found.fingerprint})")
    of = " on this machine, a copy; the server does not tell its size" if found.is_copy else ""
    print_line(f"  {decimal(found.size_bytes)}{of}")
    print_table(("codec", "videos"), [(c, str(n)) for c, n in found.codecs.items()], right=(1,))
    say_some("note", found.notes, rest="--notes")
    say_missing(found.missing)
