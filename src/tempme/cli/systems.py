"""`tempme systems`: the table of systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tempme.cli.options import AsJson, Backbone, Frames
from tempme.cli.output import print_json, print_table

if TYPE_CHECKING:
    from tempme.zoo import System

app = typer.Typer(add_completion=False)


@app.command()
def systems(
    backbone: Backbone = "ViT-B/32",
    frames: Frames = 12,
    as_json: AsJson = False,
) -> None:
    """List the systems: what learns, which tokens survive, what a video costs."""
    from tempme.schedule import total_tokens
    from tempme.zoo import system, systems

    rows = [system(name, backbone=backbone, frames=frames) for name in systems()]
    if as_json:
        print_json({"backbone": backbone, "frames": frames, "systems": [_facts(r) for r in rows]})
        return
    head = ("system", "tuning", "compression", "tokens out", "G multiply-adds", "standing")
    lines = [
        (
            *_names(row),
            str(total_tokens(row.plan())),
            f"{row.cost().gmacs:.1f}",
            _origin(row)["standing"],
        )
        for row in rows
    ]
    print_table(head, lines, right=(3, 4))


def _names(row: System) -> tuple[str, str, str]:
    return row.name, type(row.tuning).__name__, type(row.compression).__name__


def _origin(row: System) -> dict[str, str]:
    from tempme.sources import SOURCES

    source = SOURCES.get(row.name)
    if source is None:
        return {"standing": "ours", "source": ""}
    return {"standing": source.standing, "source": source.code}


def _facts(row: System) -> dict[str, object]:
    from tempme.schedule import total_tokens

    name, tuning, compression = _names(row)
    cost = row.cost()
    return {
        "system": name,
        "tuning": tuning,
        "compression": compression,
        "tokens_out": total_tokens(row.plan()),
        "gmacs": round(cost.gmacs, 3),
        "gflops_paper": round(cost.gflops_paper, 3),
        "gmacs_prompts": round(cost.gmacs_prompts, 3),
        "trainable_parameters": row.trainable_parameters(),
        **_origin(row),
    }
