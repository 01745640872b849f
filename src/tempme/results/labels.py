"""Names beside marks, placed so that none covers another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels

LABEL_POINTS = 7.5
MARK_POINTS = 3.5  # half of what a mark fills
# Where a label may stand: points from its mark, nearest first.
RADII = (9, 15, 22, 30, 40, 52, 66, 82, 100, 120)
DIRECTIONS = ((1, 0), (0, 1), (-1, 0), (0, -1), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7), (-0.7, -0.7))
OUTSIDE = 10
PLACES = tuple((direction, radius) for radius in RADII for direction in DIRECTIONS)


def place_labels(axes: Axes, marks: Mapping[str, tuple[float, float, float]]) -> list[Box]:
    """Write every name beside its mark (x, y, spread), from the top down; the boxes they fill.

    A name stands at the nearest place that nothing covers, or else at the least covered.
    """
    whole = _extent(axes)
    taken = [_mark_box(axes, *mark) for mark in marks.values()]
    boxes: list[Box] = []
    for name in sorted(marks, key=lambda name: (-marks[name][1], marks[name][0])):
        x, y, _ = marks[name]
        (across, up), size = axes.transData.transform((x, y)), _size(axes, name)
        candidates = [
            _beside((across, up), direction, _pixels(axes, radius), size)
            for direction, radius in PLACES
        ]
        others = [*taken, *boxes]
        best = min(candidates, key=lambda box: _covered(box, others, whole))
        boxes.append(best)
        _annotate(axes, name, (x, y), best[:2], color="#111827", vertical="bottom")
    return boxes


def label_ends(axes: Axes, ends: Mapping[str, tuple[float, float, Any]]) -> None:
    """Names right of the axes, at the height of their curves' ends or as near as there is room.

    ends: name -> x, y and colour of the end of its curve.
    """
    names = sorted(ends, key=lambda name: ends[name][1])
    _, bottom, right, top = _extent(axes)
    wanted = [float(axes.transData.transform(ends[name][:2])[1]) for name in names]
    heights = spread_apart(wanted, _pixels(axes, LABEL_POINTS * 1.25), between=(bottom, top))
    for name, height in zip(names, heights, strict=True):
        x, y, color = ends[name]
        place = (right + _pixels(axes, 14), height)
        _annotate(axes, name, (x, y), place, color=color, vertical="center")


def spread_apart(
    wanted: Sequence[float], gap: float, *, between: tuple[float, float]
) -> list[float]:
    """Places in ascending order, at least `gap` apart, each crowd around the middle of its own."""
    crowds: list[tuple[float, int]] = []  # the first place, and how many
    for place in wanted:
        first, count = place, 1
        while crowds and crowds[-1][0] + crowds[-1][1] * gap > first:
            before, many = crowds.pop()
            first = (before * many + (first - many * gap) * count) / (many + count)
            count += many
        crowds.append((first, count))
    places = [first + i * gap for first, count in crowds for i in range(count)]
    for i in range(len(places)):  # up from the lower end, then down from the upper
        places[i] = max(places[i], between[0] + i * gap)
    for i in range(len(places)):
        places[-1 - i] = min(places[-1 - i], between[1] - i * gap)
    return places


def _mark_box(axes: Axes, x: float, y: float, spread: float) -> Box:
    """What a mark and its error bar fill."""
    (left, bottom), (right, top) = axes.transData.transform([(x, y - spread), (x, y + spread)])
    pad = _pixels(axes, MARK_POINTS)
    return left - pad, bottom - pad, right + pad, top + pad


def _beside(
    mark: tuple[float, float],
    direction: tuple[float, float],
    radius: float,
    size: tuple[float, float],
) -> Box:
    """A label of a size whose nearest edge or corner is at a distance from its mark."""
    (x, y), (dx, dy), (width, height) = mark, direction, size
    left = x + dx * radius - width * (0.5 if dx == 0 else float(dx < 0))
    bottom = y + dy * radius - height * (0.5 if dy == 0 else float(dy < 0))
    return left, bottom, left + width, bottom + height


def _covered(box: Box, others: Sequence[Box], whole: Box) -> float:
    """Square pixels of the box that others cover; those outside of the axes weigh more."""
    outside = (box[2] - box[0]) * (box[3] - box[1]) - _common(box, whole)
    return OUTSIDE * outside + sum(_common(box, other) for other in others)


def _common(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _size(axes: Axes, name: str) -> tuple[float, float]:
    """Width and height of a label, in pixels."""
    text = axes.text(0, 0, name, fontsize=LABEL_POINTS)
    left, bottom, right, top = _extent(text)
    text.remove()
    return right - left, top - bottom


def _extent(artist: Any) -> Box:
    box = artist.get_window_extent()
    return float(box.x0), float(box.y0), float(box.x1), float(box.y1)


def _annotate(
    axes: Axes,
    name: str,
    mark: tuple[float, float],
    place: tuple[float, float],
    *,
    color: Any,
    vertical: str,
) -> None:
    """The name at a place in pixels, with a thin line to its mark."""
    here = axes.transData.transform(mark)
    scale = 72 / axes.figure.dpi
    axes.annotate(
        name,
        mark,
        xytext=((place[0] - here[0]) * scale, (place[1] - here[1]) * scale),
        textcoords="offset points",
        fontsize=LABEL_POINTS,
        color=color,
        verticalalignment=vertical,
        annotation_clip=False,
        arrowprops={
            "arrowstyle": "-",
            "color": color,
            "alpha": 0.35,
            "linewidth": 0.6,
            "relpos": (0.0, 0.5) if vertical == "center" else (0.5, 0.5),
            "shrinkA": 0,
            "shrinkB": 3,
        },
    )


def _pixels(axes: Axes, points: float) -> float:
    return float(points * axes.figure.dpi / 72)
