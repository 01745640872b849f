"""`tempme forget`: take videos out of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder
from tempme.cli.output import counted, print_json, print_line
from tempme.uris import uri_of

app = typer.Typer(add_completion=False)


@app.command()
def forget(
    paths: Annotated[
        list[Path], typer.Argument(help="Videos, and folders of videos.", readable=False)
    ],
    index: IndexFolder = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """Remove the videos at and below PATHS from an index; the files stay as they are.

    It works where the files are gone, too. `tempme index` takes in again what still exists below
    its paths: keep it out with --exclude, or with a .tempmeignore file in the folder.
    """
    from tempme.index import Index

    opened = Index.open(index)
    gone = opened.forget(paths)
    if as_json:
        print_json({"index": str(opened.name), "forgotten": [uri_of(path) for path in gone]})
    else:
        print_line(f"{opened.name}: {counted(len(gone), 'video')} forgotten; no file was touched")
