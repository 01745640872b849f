"""`tempme store`: an index made of shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder
from tempme.cli.output import counted, print_json, print_line, say, shown_path
from tempme.errors import Stopped

if TYPE_CHECKING:
    from tempme.index.shards.loading import Loaded

app = typer.Typer(no_args_is_help=True, help="Make an index, in any store, of shards.")
SHOWN = 10


@app.callback()
def store() -> None:
    """Make an index, in any store, of shards."""


@app.command()
def load(
    shards: Annotated[
        str, typer.Argument(help="What `tempme index --shards` wrote.", metavar="SHARDS")
    ],
    index: IndexFolder = DEFAULT_INDEX,
    as_json: AsJson = False,
) -> None:
    """Bring an index in line with SHARDS; run it again after more shards were made."""
    from tempme.cli.progress import counting
    from tempme.index.shards.filling import fill

    try:
        with counting("loading") as shown:
            name, loaded = fill(shards, index, on_progress=shown)
    except KeyboardInterrupt:
        raise Stopped(
            "stopped; what was loaded is kept: run the same command again to go on"
        ) from None
    if as_json:
        print_json({"index": name, **loaded.as_dict()})
    else:
        _summary(name, loaded)


def _summary(name: str, loaded: Loaded) -> None:
    for one in loaded.damaged[:SHOWN]:
        say(f"passed over: {one.name} {one.reason}")
    if len(loaded.damaged) > SHOWN:
        say(f"and {len(loaded.damaged) - SHOWN} more, see --json")
    if loaded.unmade:
        first: Path = loaded.unmade[0]
        say(
            f"no shard: {counted(len(loaded.unmade), 'file')}, such as {shown_path(first)}: make "
            "them with `tempme index PATH --shards URI`, then load again"
        )
    counts = {"written": loaded.written, "unchanged": loaded.unchanged, "removed": loaded.removed}
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number)
    print_line(f"{name}: {told or 'nothing to load'}; {counted(loaded.moments, 'moment')}")
