"""`tempme status`: what an index holds."""

from __future__ import annotations

from typing import Annotated

import typer

from tempme.cli.answers import damage_line
from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder
from tempme.cli.output import (
    counted,
    print_json,
    print_line,
    print_table,
    say,
    shown_path,
    shown_time,
)

app = typer.Typer(add_completion=False)


@app.command()
def status(
    index: IndexFolder = DEFAULT_INDEX,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed videos, and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what an index holds, which model made it, and what failed."""
    from rich.filesize import decimal

    from tempme.index import Index

    found = Index.open(index).status()
    if as_json:
        print_json(found.as_dict())
    elif not failed:
        bad = f", {found.num_failed} failed (see --failed)" if found.num_failed else ""
        if found.num_damaged:
            say(damage_line(found.path, found.num_damaged))
        print_line(f"{found.path}: {counted(found.num_videos, 'video')}{bad}")
        length = shown_time(found.duration_seconds)
        print_line(f"  {counted(found.num_moments, 'moment')} in {length} of video")
        print_line(f"  model {found.model} ({found.fingerprint})")
        print_line(f"  {decimal(found.size_bytes)}")
        print_table(("codec", "videos"), [(c, str(n)) for c, n in found.codecs.items()], right=(1,))
    else:
        rows = [(video.reason, shown_path(video.path)) for video in found.failed]
        print_table(("reason", "path"), rows)
