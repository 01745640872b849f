"""`tempme show`: what a system does to the tokens of a video, block by block, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tempme.cli.options import AsJson
from tempme.cli.output import print_json, print_line, print_table
from tempme.errors import BadSetting

if TYPE_CHECKING:
    from tempme.schedule import Step
    from tempme.systems.system import System

app = typer.Typer(add_completion=False)
STEP_KEYS = ("clips", "join", "cross", "intra", "attended", "tokens_out")
MORE_KEYS = (
    *("merged", "pruned", "fused", "after", "backward", "merged_clips", "clips_out"),
    *("unseen", "apart", "opens"),
)
COLUMNS = {
    "join": "join",
    "unseen": "unseen",
    "cross": "cross",
    "intra": "intra",
    "merged": "merged",
    "pruned": "pruned",
    "fused": "fused",
    "attended": "attended",
    "after": "after",
    "backward": "backward",
    "tokens_out": "tokens out",
    "merged_clips": "merged clips",
    "apart": "apart",
    "opens": "opens",
}
# Columns that a table has only where a block uses them; what they count is said below it.
EXPLAINED = {
    "merged": "of intra, the tokens that merge",
    "pruned": "tokens that the class token looks at least; intra = merged + pruned - fused",
    "fused": "what the pruned tokens become",
    "after": "tokens that leave after the MLP; tokens out = attended - intra - after",
    "backward": "where that walks from the last frame to the first",
    "merged clips": "clips that merge into others before the MLP",
    "unseen": "tokens of a clip dropped before attention",
    "apart": "frames of a clip that each look at their own places alone",
    "opens": "frames of a clip that see each other from this block on",
}


@app.command()
def show(
    system: Annotated[str, typer.Argument(help="A name that `tempme systems` lists.")],
    backbone: Annotated[
        str | None,
        typer.Option(help="A published CLIP or UMT, or scenes-tiny (ViT-B/32; the model's)."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a video (12; the model's).")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Draw what merges in this video.", readable=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The picture, a .png.", readable=False)] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="A saved model, a hub id, a file of weights (scenes-tiny)."
        ),
    ] = None,
    block: Annotated[
        int | None, typer.Option(min=0, help="Draw what has merged after this block (the last).")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="At most this share of the multiply-adds without compression (0.65)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the schedule of SYSTEM and the cost of a video; or draw what merges in a video.

    The picture shows SYSTEM next to ToMe, on the weights of the same model: patches that end in
    one token have one colour and outline in all frames. A budget is that of both.
    """
    if video is None:
        _refuse_without_video(out=out, model=model, block=block)
        show_schedule(system, backbone, frames or 12, budget=budget, as_json=as_json)
        return
    if out is None:
        raise BadSetting("--video needs a place for the picture: add --out merged.png")
    from tempme.cli.show_video import show_video

    show_video(
        system,
        video,
        out,
        model=model,
        backbone=backbone,
        frames=frames,
        block=block,
        budget=budget,
        as_json=as_json,
    )


def show_schedule(
    name: str,
    backbone: str | None,
    frames: int,
    *,
    budget: float | None = None,
    as_json: bool,
) -> None:
    """The table of blocks, what its rarer columns count, and the cost."""
    from tempme.systems.table import system as row_of

    found = row_of(name, backbone=backbone, frames=frames, budget=budget)
    facts = _document(found)
    if as_json:
        print_json(facts)
        return
    head, rows = table(found.plan())
    print_table(head, rows, right=range(len(head)))
    for name in head:
        if name in EXPLAINED:
            print_line(f"{name}: {EXPLAINED[name]}")
    print_line(
        f"{facts['clips_out']} x {facts['tokens_out'] // facts['clips_out']} tokens out; "
        f"{facts['gmacs']:.1f} G multiply-adds ({facts['gflops_paper']:.1f} as the paper counts); "
        f"{facts['trainable_parameters']:,} parameters learn"
    )


def table(plan: tuple[Step, ...]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows, one a block; the rarer columns only where some block uses them."""
    shown = [key for key in COLUMNS if COLUMNS[key] not in EXPLAINED or _is_used(key, plan)]
    head = ("block", "clips x tokens", *(COLUMNS[key] for key in shown))
    return head, [_row(block, step, shown) for block, step in enumerate(plan)]


def steps(plan: tuple[Step, ...]) -> list[dict[str, int | bool]]:
    """What the document says of every block."""
    keys = (*STEP_KEYS, *MORE_KEYS)
    return [
        {"block": block} | {key: getattr(step, key) for key in keys}
        for block, step in enumerate(plan)
    ]


def _document(system: System) -> dict[str, Any]:
    from tempme.schedule import total_tokens

    plan, cost = system.plan(), system.cost()
    return {
        "system": system.name,
        "backbone": system.backbone,
        "frames": system.frames,
        "clips_out": plan[-1].clips_out,
        "tokens_out": total_tokens(plan),
        "gmacs": round(cost.gmacs, 3),
        "gflops_paper": round(cost.gflops_paper, 3),
        "trainable_parameters": system.trainable_parameters(),
        "steps": steps(plan),
    }


def _is_used(key: str, plan: tuple[Step, ...]) -> bool:
    if key == "merged" and not _is_used("pruned", plan):
        return False  # all of intra merges, and that column is there
    return any(getattr(step, key) for step in plan)


def _row(block: int, step: Step, columns: Sequence[str]) -> tuple[str, ...]:
    cells = (_cell(key, getattr(step, key)) for key in columns)
    return (str(block), f"{step.clips} x {step.attended + step.cross + step.unseen}", *cells)


def _cell(key: str, value: int | bool) -> str:
    if key == "join":
        return f"x{value}" if value > 1 else "."
    if key == "backward":
        return "yes" if value else "."
    return str(value) if value else "."


def _refuse_without_video(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise BadSetting(
                f"--{name} is for a picture, and there is no video to draw: add --video FILE"
            )
