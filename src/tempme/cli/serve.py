"""`tempme serve`: the page, and the same over HTTP."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.options import DEFAULT_INDEX, Device, Engine, IndexFolder, Precision
from tempme.cli.output import counted, print_line, say
from tempme.errors import BadSetting, MissingExtra

app = typer.Typer(add_completion=False)
TOKEN = "TEMPME_TOKEN"
NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "watchfiles")


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
        Path | None,
        typer.Option(
            help=f"File with the token ({TOKEN}); needed beyond loopback.", readable=False
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for thumbnails and clips (in the index).", readable=False),
    ] = None,
    engine: Engine = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
) -> None:
    """Open a page in which the videos of an index are searched; programs use /v1, see /docs.

    Only this machine reaches it unless --host says otherwise, and then a token is needed.
    """
    _check_installed()
    # Before NumPy is loaded: searches take one core each, see `tempme.serving.threads`.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from tempme.engines.choice import EngineChoice
    from tempme.index import Index
    from tempme.serving.running import server_of
    from tempme.serving.settings import ServeSettings

    settings = ServeSettings(
        host=host,
        port=port,
        token=_token(token_file),
        hosts=tuple(name or ()),
        roots=tuple(folder.expanduser() for folder in root or ()),
        cache=cache,
        watch=watch,
    )
    opened = Index.open(index, running=EngineChoice(engine, precision, device))
    searched = sum(video.status == "ok" for video in opened.videos())
    say(f"{counted(searched, 'video')} in {opened.name}; stop with Ctrl-C")
    server_of(opened, settings, on_start=lambda address: print_line(f"open {address}")).run()


def _check_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"serving needs more packages ({', '.join(missing)}): pip install 'tempme[serve]'"
        )


def _token(file: Path | None) -> str:
    if file is None:
        return os.environ.get(TOKEN, "")
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise BadSetting(f"cannot read the token from {file}: {error}") from error
