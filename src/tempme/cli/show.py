"""`tempme show`: what a system does to the tokens of a video, block by block, and what it costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempme.cli.options import AsJson, Backbone, Frames
from tempme.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from tempme.schedule import Step
    from tempme.zoo import System

app = typer.Typer(add_completion=False)
STEP_KEYS = ("clips", "join", "cross", "intra", "attended", "tokens_out")


@app.command()
def show(
    system: Annotated[str, typer.Argument(help="A name that `tempme systems` lists.")],
    backbone: Backbone = "ViT-B/32",
    frames: Frames = 12,
    as_json: AsJson = False,
) -> None:
    """Print the schedule of SYSTEM: clips and tokens of every block, and the cost of a video."""
    from tempme.zoo import system as row_of

    found = row_of(system, backbone=backbone, frames=frames)
    if as_json:
        print_json(_document(found, backbone))
        return
    rows = [_row(block, step) for block, step in enumerate(found.plan())]
    head = ("block", "clips x tokens", "join", "cross", "intra", "attended", "tokens out")
    print_table(head, rows, right=range(len(head)))
    facts = _document(found, backbone)
    print_line(
        f"{facts['clips_out']} x {facts['tokens_out'] // facts['clips_out']} tokens out; "
        f"{facts['gmacs']:.1f} G multiply-adds ({facts['gflops_paper']:.1f} as the paper counts); "
        f"{facts['trainable_parameters']:,} parameters learn"
    )


def _document(system: System, backbone: str) -> dict[str, Any]:
    from tempme.schedule import total_tokens

    plan, cost = system.plan(), system.cost()
    return {
        "system": system.name,
        "backbone": backbone,
        "frames": system.frames,
        "clips_out": plan[-1].clips_out,
        "tokens_out": total_tokens(plan),
        "gmacs": round(cost.gmacs, 3),
        "gflops_paper": round(cost.gflops_paper, 3),
        "trainable_parameters": system.trainable_parameters(),
        "steps": [_step(block, step) for block, step in enumerate(plan)],
    }


def _step(block: int, step: Step) -> dict[str, int]:
    fields = asdict(step)
    return {"block": block, **{key: fields[key] for key in STEP_KEYS}}


def _row(block: int, step: Step) -> tuple[str, ...]:
    before = step.attended + step.cross
    join = f"x{step.join}" if step.join > 1 else "."
    counts = (str(n) if n else "." for n in (step.cross, step.intra))
    return (
        str(block),
        f"{step.clips} x {before}",
        join,
        *counts,
        str(step.attended),
        str(step.tokens_out),
    )
