"""`tempme systems`: the table of systems."""

from __future__ import annotations

import typer

from tempme.cli.options import AsJson, Backbone, Frames
from tempme.cli.output import print_json, print_table

app = typer.Typer(add_completion=False)


@app.command()
def systems(
    backbone: Backbone = "ViT-B/32",
    frames: Frames = 12,
    as_json: AsJson = False,
) -> None:
    """List the systems: what learns, which tokens survive, what a video costs."""
    from tempme.systems.facts import facts
    from tempme.systems.table import list_systems, system

    rows = [facts(system(name, backbone=backbone, frames=frames)) for name in list_systems()]
    if as_json:
        print_json({"backbone": backbone, "frames": frames, "systems": rows})
        return
    head = ("system", "tuning", "compression", "learns", "tokens", "G multiply-adds", "standing")
    lines = [
        (
            *(row[key] for key in ("system", "tuning", "compression")),
            f"{row['trainable_parameters']:,}",
            str(row["tokens_out"]),
            f"{row['gmacs']:.1f}",
            row["standing"],
        )
        for row in rows
    ]
    print_table(head, lines, right=(3, 4, 5))
