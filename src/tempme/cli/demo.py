"""`tempme demo`: the whole road on videos that it makes itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from tempme.cli.output import counted, print_line, print_table, say, shown_path, shown_time

if TYPE_CHECKING:
    from tempme.demo import Search

app = typer.Typer(add_completion=False)
VIDEOS, INDEX, SHEET, TAUGHT = "videos", "demo.tempme", "hits.png", "adapted"
MARK = ".tempme-demo"  # says that what lies beside it may go


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the videos, the index and the picture.", readable=False)
    ],
) -> None:
    """Generate videos, index them with the shipped model, adapt one that merges, and search."""
    from tempme.cli.progress import ProgressBar
    from tempme.demo import ask, build_index, draw_sheet, make_videos, teach
    from tempme.errors import MissingExtra
    from tempme.index import Index

    videos, index = _cleared(out)
    say("1/4  generating videos (h264, h265, mpeg4 and vp9; 4 to 30 s)")
    told = make_videos(videos, _say_tenths)
    say("2/4  indexing them with scenes-tiny")
    with ProgressBar() as bar:
        report = build_index(videos, index, bar.show)
    print_line(
        f"indexed {counted(report.videos.indexed, 'video')} as {counted(report.moments, 'moment')}"
        f" in {report.seconds:.1f} s"
    )
    say("3/4  adapting a model that merges to them, for a moment (tempme adapt)")
    try:
        for line in teach(videos, out / TAUGHT):
            print_line(line)
    except MissingExtra as missing:
        say(str(missing))
    say("4/4  searching")
    searches = ask(Index.open(index), told)
    for search in searches:
        _show(search)
    right = sum(search.rank == 1 for search in searches)
    print_line(f"{right} of {len(searches)} searches have the right video first")
    print_line(f"contact sheet of the hits: {shown_path(draw_sheet(searches, out / SHEET))}")
    where = quote(str(index))
    print_line(f'ask more: tempme search "a red circle above a blue star" --index {where}')
    print_line(f"or look through them: tempme serve --index {where}")


def _cleared(out: Path) -> tuple[Path, Path]:
    """Where videos and index go, without those of an earlier demo; files of others are safe."""
    from tempme.errors import BadSetting

    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / MARK).exists() and any(out.iterdir()):
            raise BadSetting(f"{out} holds files that no demo made: give --out a new folder")
        (out / MARK).touch()
    except OSError as reason:
        raise BadSetting(f"cannot write to {out}: {reason.strerror or reason}") from reason
    for old in (out / VIDEOS, out / INDEX, out / TAUGHT):
        shutil.rmtree(old, ignore_errors=True)
    return out / VIDEOS, out / INDEX


def _show(search: Search) -> None:
    place = "not among them" if search.rank is None else f"number {search.rank}"
    print_line()
    print_line(f'"{search.query}"  ({search.kind}; the right video is {place})')
    rows = [
        (
            f"{hit.score:.3f}",
            shown_time(hit.start_seconds),
            shown_time(hit.end_seconds),
            Path(hit.path).name,
        )
        for hit in search.hits
    ]
    print_table(("score", "from", "to", "video"), rows, right=(1, 2))


def _say_tenths(done: int, total: int) -> None:
    if done % max(1, total // 3) == 0:
        say(f"     {done}/{total}")
