"""What rules lose without training, drawn: accuracy against multiply-adds, and against time.

`results/benchmarks/rules-<world>.json` has a row for every rule and budget; a rule is a line
through its rows, and every world a column of panels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from documents.plots import COLORS, DASHES, save_figure
from documents.rendering import CURVES, PICTURES
from tempme.results.labels import label_ends
from tempme.results.plot import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Rows = Sequence[Row]

WORLDS = ("static", "temporal", "lively")
BLACK = "#111827"
PANEL_INCHES = (6.2, 4.3)
MULTIPLY_ADDS, TIME = "multiply-adds of a video (G)", "time of a video, dense model: 1"


def read_rules(folder: Path) -> dict[str, Rows]:
    """World -> rows, of the files that are there."""
    paths = {world: folder / f"rules-{world}.json" for world in WORLDS}
    return {
        world: json.loads(path.read_text("utf-8"))["rows"]
        for world, path in paths.items()
        if path.is_file()
    }


def draw_curves(root: Path = Path()) -> tuple[Path, ...]:
    """Draw what is there; the files that were written."""
    figure = rule_curves(read_rules(root / "results" / "benchmarks"))
    return () if figure is None else tuple(save_figure(figure, root / PICTURES / CURVES))


def rule_curves(worlds: Mapping[str, Rows]) -> Figure | None:
    """R@1 of text to video: a column of panels a world; time where all rows were timed.

    None where no world has rows.
    """
    if not worlds:
        return None
    is_timed = all("times" in row for rows in worlds.values() for row in rows)
    scales = (MULTIPLY_ADDS, TIME) if is_timed else (MULTIPLY_ADDS,)
    with style() as figure_of:
        figure = figure_of(PANEL_INCHES[0] * len(worlds), PANEL_INCHES[1] * len(scales))
        labels = []
        for number, (scale, world) in enumerate(product(scales, worlds), 1):
            axes = figure.add_subplot(len(scales), len(worlds), number)
            axes.set_title(f"{world} scenes, no training")
            axes.set_xlabel(scale)
            axes.set_ylabel("text to video R@1 (%)")
            labels.append((axes, _lines(axes, worlds[world], scale)))
        figure.tight_layout(w_pad=11, rect=(0, 0, 0.91, 1))
        for axes, ends in labels:
            label_ends(axes, ends)
        return figure


def _lines(axes: Axes, rows: Rows, scale: str) -> dict[str, tuple[float, float, str]]:
    """A line a rule, the model without any as a point and a level; where each ends."""
    dense, *others = rows
    axes.axhline(dense["t2v_r1"], color=BLACK, linewidth=0.8, alpha=0.5)
    _draw(axes, [dense], scale, color=BLACK, dashes="-")
    ends = {dense["system"]: (*_point(dense, scale), BLACK)}
    for number, name in enumerate(dict.fromkeys(row["system"] for row in others)):
        own = sorted((r for r in others if r["system"] == name), key=lambda r: _point(r, scale))
        color = COLORS[number % len(COLORS)]
        _draw(axes, own, scale, color=color, dashes=DASHES[number // len(COLORS) % len(DASHES)])
        ends[name] = (*_point(own[-1], scale), color)
    return ends


def _draw(axes: Axes, rows: Rows, scale: str, *, color: str, dashes: str) -> None:
    points = [_point(row, scale) for row in rows]
    axes.errorbar(
        [x for x, _ in points],
        [y for _, y in points],
        yerr=[row.get("t2v_r1_spread", 0.0) for row in rows],
        color=color,
        linestyle=dashes,
        marker="o",
        markersize=3,
        linewidth=1.1,
        elinewidth=0.6,
        capsize=1.5,
    )


def _point(row: Row, scale: str) -> tuple[float, float]:
    cost = row["gmacs"] if scale == MULTIPLY_ADDS else 1 / row["times"]
    return cost, row["t2v_r1"]
