"""Plots of results/: accuracy against multiply-adds, and loss curves, as PNG and SVG.

`python -m documents plots` draws docs/pictures/; the same results give the same bytes
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from documents.counted import experiments_now
from documents.rendering import PICTURES, picture_name
from tempme.results.accuracy import summaries
from tempme.results.labels import label_ends
from tempme.results.plot import accuracy_plot, save, style
from tempme.results.runs import Run, read_experiments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (
    *("#1f5fa8", "#c2410c", "#15803d", "#b91c1c", "#6d28d9"),
    *("#7c4a1e", "#be185d", "#4b5563", "#8a7a00", "#0e7490"),
)
DASHES = ("-", "--", ":", "-.")
LOSS_INCHES = (7.5, 4.6)
COLORS_OF_A_PNG = 64
POINTS_OF_A_LINE = 60  # a curve is the mean of so many groups of steps


def loss_plot(experiments: Mapping[str, Sequence[Run]], title: str) -> Figure | None:
    """Loss against steps: the mean over seeds, from least to most in a lighter band."""
    curves = {name: curve for name, runs in experiments.items() if (curve := _curve(runs))}
    if not curves:
        return None
    with style() as figure_of:
        figure = figure_of(*LOSS_INCHES)
        axes = figure.add_subplot(1, 1, 1)
        ends = {}
        for i, (name, (steps, means, least, most)) in enumerate(curves.items()):
            color = COLORS[i % len(COLORS)]
            dashes = DASHES[i // len(COLORS) % len(DASHES)]
            axes.plot(steps, means, color=color, linestyle=dashes, linewidth=1.2)
            axes.fill_between(steps, least, most, color=color, alpha=0.15, linewidth=0)
            ends[name] = (steps[-1], means[-1], color)
        axes.set_title(f"{title}: loss while training")
        axes.set_xlabel("step")
        axes.set_ylabel("contrastive loss")
        figure.tight_layout(rect=(0, 0, 0.8, 1))
        label_ends(axes, ends)
        return figure


def draw(root: Path = Path()) -> tuple[Path, ...]:
    """Draw what results/ holds; the files that were written."""
    written: list[Path] = []
    for data_set, experiments in experiments_now(read_experiments(root / "results")).items():
        found = summaries(experiments)
        ordered = {name: experiments[name] for name in found}
        figures = {
            "accuracy": accuracy_plot({data_set: found}, least_costs=2),
            "loss": loss_plot(ordered, data_set),
        }
        for kind, figure in figures.items():
            path = root / PICTURES / picture_name(data_set, kind)
            written += [] if figure is None else save_figure(figure, path)
    return tuple(written)


def _curve(runs: Sequence[Run]) -> tuple[list[float], list[float], list[float], list[float]] | None:
    """Steps, and the mean, least and most over seeds of the loss in groups of steps."""
    histories = [run["history"] for run in runs if run.get("history")]
    if not histories:
        return None
    last = max(entry["step"] for history in histories for entry in history)
    groups: dict[int, list[list[tuple[float, float]]]] = {}
    for i, history in enumerate(histories):
        for entry in history:
            group = min(POINTS_OF_A_LINE - 1, POINTS_OF_A_LINE * entry["step"] // (last + 1))
            of_runs = groups.setdefault(int(group), [[] for _ in histories])
            of_runs[i].append((entry["step"], entry["loss"]))
    steps, means, least, most = [], [], [], []
    for _, of_runs in sorted(groups.items()):
        losses = [_mean([loss for _, loss in entries]) for entries in of_runs if entries]
        steps.append(_mean([step for entries in of_runs for step, _ in entries]))
        means.append(_mean(losses))
        least.append(min(losses))
        most.append(max(losses))
    return steps, means, least, most


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """PNG (few colours: small) and SVG, without dates or versions."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    png, svg = (path.parent / f"{path.name}.{kind}" for kind in ("png", "svg"))
    drawn = io.BytesIO()
    with style():
        figure.savefig(drawn, format="png")
    save(figure, svg)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLORS_OF_A_PNG).save(png, optimize=True)
    return [png, svg]
