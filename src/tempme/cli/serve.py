"""`tempme serve`: the page, and the same over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import DEFAULT_INDEX, IndexFolder
from tempme.cli.output import counted, print_line, say

app = typer.Typer(add_completion=False)
TOKEN = "TEMPME_TOKEN"


@app.command()
def serve(
    index: IndexFolder = DEFAULT_INDEX,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="A folder that the page may index (those of the index)."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow changes below --root.")] = False,
    name: Annotated[
        list[str] | None, typer.Option(help="A name by which browsers reach this machine.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"File with the token ({TOKEN}); needed beyond loopback.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for thumbnails and clips (in the index).")
    ] = None,
) -> None:
    """Open a page in which the videos of an index are searched; programs use /v1 and /docs.

    Only this machine reaches it unless --host says otherwise, and then a token is needed.
    """
    # Before NumPy is loaded: searches take one core each, see `tempme.serving.threads`.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from tempme.index import Index

    settings = _settings(
        host=host,
        port=port,
        token=_token(token_file),
        hosts=tuple(name or ()),
        roots=tuple(folder.expanduser() for folder in root or ()),
        cache=cache,
        watch=watch,
    )
    opened = Index.open(index)
    run(opened, settings)


def _settings(**given: object):  # type: ignore[no-untyped-def]
    from tempme.serving.settings import ServeSettings

    return ServeSettings(**given)  # type: ignore[arg-type]


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get(TOKEN, "")
    return file.read_text(encoding="utf-8").strip()


def run(index, settings) -> None:  # type: ignore[no-untyped-def]
    """Serve until Ctrl-C."""
    from tempme.serving.running import server_of

    server = server_of(index, settings)
    say(f"{counted(len(index.videos()), 'video')} in {index.path}")
    print_line(f"open http://{settings.host}:{settings.port}")
    server.run()
