"""`tempme check`: whether an index still is as it was written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.options import DEFAULT_INDEX, AsJson, IndexFolder
from tempme.cli.output import counted, print_json, print_line, say, shown_path

if TYPE_CHECKING:
    from tempme.index import Damage, Repair

app = typer.Typer(add_completion=False)
SHOWN = 10


@app.command()
def check(
    index: IndexFolder = DEFAULT_INDEX,
    repair: Annotated[
        bool, typer.Option("--repair", help="Embed again what is damaged, from its files.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode videos (what suits the cores).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read every row and every moment of an index and compare them with their checksums.

    A model that the index keeps is loaded, too.
    Exit code 1 if anything is damaged and was not repaired.
    """
    from tempme.index import Index, Repair

    opened = Index.open(index)
    done = opened.repair(workers=workers) if repair else Repair(opened.check())
    is_whole = not done.damage or repair
    if as_json:
        print_json({"index": str(opened.name), "is_whole": is_whole, **done.as_dict()})
    else:
        _tell(done.damage)
        print_line(f"{opened.name}: {_told(done, repair=repair)}")
        _tell_of_gone(done.gone)
        if repair and "videos" in done.damage.unreadable:
            say(
                "which files there were stood in that table: run "
                f"`tempme index PATH --index {opened.name}` on your folders again"
            )
    if done.damage.model:
        say(f"damaged: {done.damage.model}")
    elif not is_whole:
        say(f"`tempme check --index {opened.name} --repair` embeds again what is damaged")
    if not is_whole:
        raise typer.Exit(1)


def _tell(damage: Damage) -> None:
    for name, cause in damage.unreadable.items():
        say(f"damaged: the table of {name} cannot be read: {cause}")
    for row in damage.videos[:SHOWN]:
        say(f"damaged: {shown_path(row.path)}: {row.reason}")
    if len(damage.videos) > SHOWN:
        say(f"... and {len(damage.videos) - SHOWN} more, see --json")


def _told(done: Repair, *, repair: bool) -> str:
    damage = done.damage
    if not damage:
        return "every row and every moment is as it was written"
    tables = [f"the table of {name}" for name in damage.unreadable]
    videos = [counted(len(damage.videos), "video")] if damage.videos else []
    what = ", ".join([*(["the model"] if damage.model else []), *tables, *videos])
    if not repair:
        return f"damaged: {what}"
    again = done.report.videos.indexed if done.report else 0
    return f"repaired: {what}; {counted(again, 'video')} embedded again"


def _tell_of_gone(gone: Sequence[Path]) -> None:
    for path in gone[:SHOWN]:
        say(f"not on disk, so its row is removed: {shown_path(path)}")
    if len(gone) > SHOWN:
        say(f"... and {len(gone) - SHOWN} more, see --json")
    if gone:
        say("a damaged name may be a wrong one: run `tempme index` on your folders to be sure")
