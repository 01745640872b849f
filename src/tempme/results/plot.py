"""Accuracy against multiply-adds, drawn: a point an experiment, bars as long as seeds differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempme.atomic import check_writable, replacing
from tempme.compression import Keep, TempMe
from tempme.errors import BadDataset, BadSetting, MissingExtra
from tempme.results.accuracy import Summary
from tempme.results.labels import place_labels
from tempme.systems.table import SYSTEMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
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
PANEL_INCHES = (4.9, 4.6)
PANELS_IN_A_ROW = 3
DOTS_PER_INCH = 110
# Without dates and versions, so that the same results give the same bytes.
PLAIN: Mapping[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

Points = Mapping[str, tuple[float, float, float]]  # name -> multiply-adds, R@1, its spread


def check_plot(path: Path) -> None:
    """What a plot needs, before there is anything to draw.

    BadSetting for another suffix, MissingExtra without matplotlib, OSError where nothing can be
    written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadSetting(f"a plot is {', '.join(SUFFIXES)} by its suffix, not {path.name!r}")
    with style():
        check_writable(path)


def save_plot(found: Mapping[str, Summary], path: Path) -> None:
    """Draw the experiments; BadDataset where none has both a cost and text to video R@1."""
    panels: dict[str, dict[str, Summary]] = {}
    for name, one in found.items():
        panels.setdefault(data_of(one), {})[name] = one
    figure = accuracy_plot(panels)
    if figure is None:
        raise BadDataset(
            "nothing to draw: no result holds both multiply-adds and R@1 from text to video"
        )
    save(figure, path)


def data_of(one: Summary) -> str:
    """What an experiment was judged on: no panel mixes two data sets."""
    data = one["settings"].get("data", {})
    name, place = str(data.get("name", "scenes")), data.get("annotations")
    return f"{name} {Path(place).name}" if name == "folder" and place else name


def accuracy_plot(
    panels: Mapping[str, Mapping[str, Summary]], *, least_costs: int = 1
) -> Figure | None:
    """R@1 against multiply-adds, a panel for each part of each data set.

    panels: data set -> experiments. least_costs: what a panel has to show: so many costs that
    differ. None where no panel does.
    """
    shown = {
        title: (points, found)
        for title, points, found in _panels(panels)
        if len({x for x, *_ in points.values()}) >= least_costs
    }
    if not shown:
        return None
    columns = min(len(shown), PANELS_IN_A_ROW)
    rows = -(-len(shown) // columns)
    with style() as figure_of:
        figure = figure_of(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows)
        for i, (title, (points, found)) in enumerate(shown.items(), 1):
            axes = figure.add_subplot(rows, columns, i)
            _scatter(axes, points, found)
            axes.set_title(title)
            axes.set_xlabel("multiply-adds of a video (G)")
            axes.set_ylabel("text to video R@1 (%)")
        figure.tight_layout(rect=(0, 0.06 / rows, 1, 1))
        _legend(figure)
        for axes, (points, _) in zip(figure.axes, shown.values(), strict=True):
            place_labels(axes, points)
        return figure


@contextmanager
def style() -> Iterator[Callable[[float, float], Figure]]:
    """What makes figures of a width and height in inches, in our style; else MissingExtra."""
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


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the suffix, as a whole or not at all."""
    kind = path.suffix.lower()
    with style(), replacing(path) as draft:
        figure.savefig(draft, format=kind[1:], metadata=PLAIN[kind])


def _panels(
    panels: Mapping[str, Mapping[str, Summary]],
) -> Iterator[tuple[str, Points, Mapping[str, Summary]]]:
    """Title, points and experiments of every part that has some."""
    for data_set, found in panels.items():
        for part in dict.fromkeys(part for one in found.values() for part in one["metrics"]):
            if points := _points(found, part):
                yield f"{data_set}: {part}", points, found


def _points(found: Mapping[str, Summary], part: str) -> Points:
    points = {}
    for name, one in found.items():
        directions = one["metrics"].get(part)
        score = directions.get("t2v", {}).get("r1") if isinstance(directions, Mapping) else None
        if score is not None and one["cost"].get("gmacs") is not None:
            points[name] = (one["cost"]["gmacs"], score["mean"], score["spread"] or 0.0)
    return points


def _scatter(axes: Axes, points: Points, found: Mapping[str, Summary]) -> None:
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
