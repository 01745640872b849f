"""`tempme data`: videos with captions to train, test and play with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tempme.cli.data_prepare import prepare
from tempme.cli.data_verify import verify
from tempme.cli.output import counted, print_json, print_line, shown_path

app = typer.Typer(no_args_is_help=True, help="Make, check and prepare videos with captions.")
app.command()(verify)
app.command()(prepare)


class PartName(StrEnum):
    """Which scenes to write."""

    static = "static"
    temporal = "temporal"
    lively = "lively"
    both = "both"


class SplitName(StrEnum):
    """Which combinations of colour, shape and background to write."""

    train = "train"
    val = "val"
    test = "test"


@app.callback()
def data() -> None:
    """Make, check and prepare videos with captions."""


@app.command()
def scenes(
    out: Annotated[
        Path, typer.Option(help="Folder for videos and captions.jsonl.", readable=False)
    ],
    count: Annotated[int, typer.Option(min=1, help="How many videos.")] = 100,
    former_count: Annotated[int | None, typer.Option("--videos", min=1, hidden=True)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same videos.")] = 0,
    part: Annotated[
        PartName,
        typer.Option(
            help="What tells videos apart: one frame; the order of frames; half each; "
            "a detail, in textured, filmed scenes (lively)."
        ),
    ] = PartName.both,
    split: Annotated[
        SplitName,
        typer.Option(
            help="Combinations of colour, shape and background: train never shows those of test."
        ),
    ] = SplitName.test,
    size: Annotated[int, typer.Option(help="Width and height in pixels.")] = 224,
    fps: Annotated[int, typer.Option(help="Frames per second.")] = 12,
    codec: Annotated[str, typer.Option(help="libx264, mpeg4, libvpx-vp9, ...")] = "libx264",
    scenes_per_video: Annotated[int, typer.Option(min=1, help="Scenes joined in a video.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Replace files of the same names.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")] = False,
) -> None:
    """Write generated videos, half static and half temporal, and their captions."""
    from tempme.cli.progress import counting
    from tempme.scenes.recording import CAPTIONS, write

    count = former_count or count  # --videos is a folder in every other verb
    with counting("drawing", count) as counted_so_far:
        pairs = write(
            count,
            out,
            seed=seed,
            part=part.value,
            split=split.value,
            size=size,
            fps=fps,
            codec=codec,
            scenes_per_video=scenes_per_video,
            overwrite=overwrite,
            on_video=counted_so_far,
        )
    files = {pair.video for pair in pairs}
    if json:
        print_json({"folder": str(out), "videos": len(files), "captions": len(pairs)})
        return
    print_line(
        f"{counted(len(files), 'video')} and {counted(len(pairs), 'caption')} in "
        f"{shown_path(out)}, listed in {CAPTIONS}"
    )
