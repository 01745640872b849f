"""The picture of `tempme show --video`: what ToMe and a system merge, on one model's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempme.cli.output import print_json, print_line, say, shown_path

if TYPE_CHECKING:
    from tempme.drawing.comparison import Model, Side
    from tempme.drawing.figure import Panel
    from tempme.video import Frames

BESIDE = "tome"  # what every system is drawn next to; those of UMT next to their own
BESIDE_UMT = "umt4clip-tome"


def show_video(
    name: str,
    video: Path,
    out: Path,
    *,
    model: str | None,
    backbone: str | None,
    frames: int | None,
    block: int | None,
    budget: float | None,
    as_json: bool,
) -> None:
    """Draw what merges, and say where and what."""
    from tempme.drawing.comparison import read_model
    from tempme.drawing.figure import Panel, checked, draw, save
    from tempme.retriever.tracing import trace

    checked(out)
    given = read_model(model, backbone=backbone)
    pair = _sides(name, given, frames, budget)
    sample = _read(video, frames=pair[-1].retriever.num_frames, size=pair[-1].retriever.image_size)
    panels = [
        Panel.of(
            trace(side.retriever, side.retriever.transform(sample.pixels)[None]),
            name=side.name,
            note=side.note,
            block=block,
        )
        for side in pair
    ]
    title = f"What merges in {video.name}: {len(sample.pixels)} frames, model {given.source}"
    save(draw(sample.pixels, panels, title=title, seconds=sample.seconds), out)
    if as_json:
        print_json(_document(video, out, given.source, sample, panels))
        return
    for panel in panels:
        print_line(f"{panel.name} ({panel.note}): {panel.told()}")
    print_line(f"picture: {shown_path(out)}")


def _sides(name: str, model: Model, frames: int | None, budget: float | None) -> tuple[Side, ...]:
    """ToMe and the system, at one budget if there is one.

    A tuning that changed its backbone leaves none for ToMe, and ToMe may not reach a budget.
    """
    from tempme.drawing.comparison import sides
    from tempme.errors import BadSetting, BadWeights
    from tempme.systems.table import UMT

    beside = BESIDE_UMT if name in UMT else BESIDE
    try:
        return sides((beside, name), model=model, frames=frames, budget=budget)
    except (BadWeights, BadSetting) as reason:
        alone = sides((name,), model=model, frames=frames, budget=budget)
        say(f"without {beside}: {reason}")
        return alone


def _read(video: Path, *, frames: int, size: int) -> Frames:
    from tempme.errors import BadVideo
    from tempme.video import Failure, Reading, load

    read = load(video, Reading(frames=frames, size=size, sampling="exact"))
    if isinstance(read, Failure):
        raise BadVideo(f"{video}: {read.reason}; give --video another file")
    if read.note:
        say(f"{video}: {read.note}")
    return read


def _document(
    video: Path, out: Path, model: str, sample: Frames, panels: list[Panel]
) -> dict[str, Any]:
    return {
        "video": str(video),
        "picture": str(out),
        "model": model,
        "seconds": list(sample.seconds),
        "block": panels[-1].block,
        "systems": [
            {
                "system": panel.name,
                "weights": panel.note,
                "tokens": list(panel.tokens),
                "assignment": panel.places.tolist(),
            }
            for panel in panels
        ],
    }
