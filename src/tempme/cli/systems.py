"""`tempme systems`: the table of systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tempme.cli.options import AsJson, Backbone, Frames
from tempme.cli.output import print_json, print_table

if TYPE_CHECKING:
    from tempme.systems.system import System

app = typer.Typer(add_completion=False)
KEYS = ("system", "tuning", "compression", "backbone")


@app.command()
def systems(
    backbone: Backbone = "ViT-B/32",
    frames: Frames = 12,
    as_json: AsJson = False,
) -> None:
    """List the systems: what learns, which tokens survive, what a video costs.

    Rows of another family than BACKBONE are listed on their own: UMT-B/16, ViT-B/32.
    """
    from tempme.systems.facts import facts
    from tempme.systems.table import list_systems

    rows = [facts(row_on(backbone, name, frames)) for name in list_systems()]
    if as_json:
        print_json({"backbone": backbone, "frames": frames, "systems": rows})
        return
    head = (*KEYS, "learns", "tokens", "G multiply-adds", "standing")
    lines = [
        (
            *(row[key] for key in KEYS),
            f"{row['trainable_parameters']:,}",
            str(row["tokens_out"]),
            f"{row['gmacs']:.1f}",
            row["standing"],
        )
        for row in rows
    ]
    print_table(head, lines, right=(4, 5, 6))


def row_on(backbone: str, name: str, frames: int) -> System:
    """A row on the backbone, or on that of its own family where it is of another."""
    from tempme.backbones.sizes import family_of, sizes_of
    from tempme.systems.table import SYSTEMS, system

    is_own = family_of(sizes_of(backbone)) == family_of(SYSTEMS[name].config)
    return system(name, backbone=backbone if is_own else None, frames=frames)
