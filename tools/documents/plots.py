"""Plots of results/: accuracy against multiply-adds, and loss curves, as PNG and SVG.

`python -m documents plots` draws docs/pictures/; the same results give the same bytes
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from documents.counted import experiments_now
from documents.labels import label_ends, place_labels
from documents.rendering import PICTURES, picture_name
from tempme.compression import Keep, TempMe
from tempme.errors import MissingExtra
from tempme.results.accuracy import Summary, summaries
from tempme.results.runs import Run, read_experiments
from tempme.systems.table import SYSTEMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "tempme",  # names inside an SVG are else drawn at random
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
}
# What a compression does -> words, colour, marker.
ALL = ("all tokens", "#4b5563", "o")
FEWER = ("fewer tokens", "#2563eb", "s")
JOINED = ("clips joined (TempMe)", "#c2410c", "D")
COLORS = (
    *("#1f5fa8", "#c2410c", "#15803d", "#b91c1c", "#6d28d9"),
    *("#7c4a1e", "#be185d", "#4b5563", "#8a7a00", "#0e7490"),
)
DASHES = ("-", "--", ":", "-.")
SCATTER_INCHES, LOSS_INCHES = (4.9, 4.6), (7.5, 4.6)
DOTS_PER_INCH = 110
COLORS_OF_A_PNG = 64
POINTS_OF_A_LINE = 60  # a curve is the mean of so many groups of steps


def accuracy_plot(found: Mapping[str, Summary], title: str) -> Figure | None:
    """R@1 against multiply-adds, one point per experiment, one panel per part of the data.

    None where there is nothing to compare: no two experiments that cost something else.
    """
    parts = dict.fromkeys(part for one in found.values() for part in one["metrics"])
    every = {part: _points(found, part) for part in parts}
    panels = {
        part: points for part, points in every.items() if len({x for x, *_ in points.values()}) > 1
    }
    if not panels:
        return None
    with _style() as figure_of:
        figure = figure_of(SCATTER_INCHES[0] * len(panels), SCATTER_INCHES[1])
        for i, (part, points) in enumerate(panels.items()):
            axes = figure.add_subplot(1, len(panels), i + 1)
            _scatter(axes, points, found)
            axes.set_title(f"{title}: {part}")
            axes.set_xlabel("multiply-adds of a video (G)")
            axes.set_ylabel("text to video R@1 (%)")
        figure.tight_layout(rect=(0, 0.06, 1, 1))
        _legend(figure)
        for axes, points in zip(figure.axes, panels.values(), strict=True):
            place_labels(axes, points)
        return figure


def loss_plot(experiments: Mapping[str, Sequence[Run]], title: str) -> Figure | None:
    """Loss against steps: the mean over seeds, from least to most in a lighter band."""
    curves = {name: curve for name, runs in experiments.items() if (curve := _curve(runs))}
    if not curves:
        return None
    with _style() as figure_of:
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
            "accuracy": accuracy_plot(found, data_set),
            "loss": loss_plot(ordered, data_set),
        }
        for kind, figure in figures.items():
            path = root / PICTURES / picture_name(data_set, kind)
            written += [] if figure is None else _save(figure, path)
    return tuple(written)


@contextmanager
def _style() -> Iterator[Callable[[float, float], Figure]]:
    """What makes figures of a width and height in inches, in our style."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingExtra("plots need matplotlib: pip install 'tempme[plots]'") from missing

    def figure_of(width: float, height: float) -> Figure:
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        return figure

    with matplotlib.rc_context(STYLE):
        yield figure_of


def _points(found: Mapping[str, Summary], part: str) -> dict[str, tuple[float, float, float]]:
    """Experiment -> multiply-adds, R@1 and its spread."""
    points = {}
    for name, one in found.items():
        directions = one["metrics"].get(part)
        score = directions.get("t2v", {}).get("r1") if isinstance(directions, Mapping) else None
        if score is not None and one["cost"].get("gmacs") is not None:
            points[name] = (one["cost"]["gmacs"], score["mean"], score["spread"] or 0.0)
    return points


def _scatter(
    axes: Axes, points: Mapping[str, tuple[float, float, float]], found: Mapping[str, Summary]
) -> None:
    for name, (x, y, spread) in points.items():
        words, color, marker = _family(found[name])
        axes.errorbar(
            *(x, y, spread or None),
            fmt=marker,
            color=color,
            label=words,
            markersize=5,
            capsize=2,
            linewidth=1,
        )
    axes.margins(0.24, 0.14)


def _legend(figure: Figure) -> None:
    """One line below all panels, where it covers nothing."""
    shown = {}
    for axes in figure.axes:
        for handle, words in zip(*axes.get_legend_handles_labels(), strict=True):
            shown[words] = handle
    figure.legend(shown.values(), shown.keys(), loc="lower center", ncols=3, frameon=False)


def _family(summary: Summary) -> tuple[str, str, str]:
    system = SYSTEMS.get(summary["settings"]["system"]["name"])
    compression = system.compression if system else None
    if isinstance(compression, Keep):
        return ALL
    return JOINED if isinstance(compression, TempMe) and not compression.apart else FEWER


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


def _save(figure: Figure, path: Path) -> list[Path]:
    """PNG (few colours: small) and SVG, without dates or versions."""
    import matplotlib
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    png, svg = (path.parent / f"{path.name}.{kind}" for kind in ("png", "svg"))
    drawn = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(drawn, format="png")
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLORS_OF_A_PNG).save(png, optimize=True)
    return [png, svg]
