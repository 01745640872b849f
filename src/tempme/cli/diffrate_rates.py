"""`tempme train diffrate-rates`: DiffRate's rates for a model, as settings of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tempme.atomic import replacing
from tempme.cli.options import AsJson
from tempme.cli.output import print_json, print_line, say

app = typer.Typer(add_completion=False)
FAR = 0.02  # of the dense model's multiply-adds


@app.command()
def diffrate_rates(
    target: Annotated[
        float, typer.Option(help="Multiply-adds of a frame, as a share of those without pruning.")
    ],
    model: Annotated[
        str, typer.Option(help="A saved retriever, a shipped model or BACKBONE:TAG.")
    ] = "scenes-tiny",
    videos: Annotated[
        Path | None,
        typer.Option(help="A folder with captions; generated scenes if left out.", readable=False),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates of the rates.")] = 300,
    batch: Annotated[int, typer.Option(min=1, help="Videos per update.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of the rates.")] = 0.05,
    weight: Annotated[
        float, typer.Option(min=0, help="Weight of the distance to --target in the loss.")
    ] = 50.0,
    granularity: Annotated[int, typer.Option(min=1, help="Try every Nth number of tokens.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the settings (TOML) here.", readable=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn how many tokens DiffRate prunes and merges in every block; no weight changes.

    What it prints is the system table of an experiment, with the rates as integers.
    """
    from tempme.training.diffrate import Learning, learn

    settings = Learning(
        target,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        granularity=granularity,
        weight=weight,
        seed=seed,
    )
    found = learn(model, settings, videos=videos)
    if as_json:
        print_json({**found.settings(), "target": target, "share": round(found.share, 4)})
    else:
        for line in found.toml().rstrip().splitlines():
            print_line(line)
    say(f"{found.share:.3f} of the multiply-adds of the dense model, by DiffRate's formula")
    if abs(found.share - target) > FAR:
        say(f"that is not yet the target of {target}: take more --steps, or more --weight")
    if out is not None:  # at the end: what cannot be written has been read
        with replacing(out) as draft:
            draft.write_text(found.toml(), "utf-8")
