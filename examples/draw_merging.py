"""Draw assets/merging.svg from a schedule: frames become clips, and tokens fade as they merge.

python examples/draw_merging.py assets/merging.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from tempme.schedule import Step, default_joins, schedule

WIDTH, ROW, PAD = 860, 46, 10
CELL = 6  # side of a token, with its gap
SHOWN = (0, 4, 7, 8, 9, 10, 11)
CLASS, PATCH = "#c0392b", "#2c6fbb"


def main(path: Path) -> None:
    frames, tokens, depth = 8, 50, 12
    steps = schedule(
        tokens=tokens,
        frames=frames,
        depth=depth,
        r=2,
        joins=default_joins(frames, depth=depth),
        keep_cross=0.7,
        keep_intra=0.9,
    )
    rows = [_row(block, steps[block], number, tokens) for number, block in enumerate(SHOWN)]
    height = (len(SHOWN) + 0.4) * ROW + 2 * PAD
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        + "\n".join([*rows, _legend(height - PAD - 6)])
        + "\n</svg>\n",
        "utf-8",
    )


def _row(block: int, step: Step, number: int, start: int) -> str:
    top = PAD + number * ROW
    told = f"{step.clips} x {step.tokens_out} tokens"
    parts = [
        f'<text x="{PAD}" y="{top + 14}" fill="#333">block {block}</text>',
        f'<text x="{PAD}" y="{top + 30}" fill="#777">{told}</text>',
    ]
    room = (WIDTH - 150) / step.clips
    across = max(1, int((room - 14) // CELL))
    whole = start * 8 / (step.clips * step.tokens_out)  # patches a token stands for, on average
    for clip in range(step.clips):
        left = 140 + clip * room
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{room - 6:.1f}" height="{ROW - 8}" rx="4" '
            f'fill="none" stroke="#bbb"/>'
        )
        for token in range(step.tokens_out):
            x, y = left + 4 + token % across * CELL, top + 4 + token // across * CELL
            colour = CLASS if token < step.protected else PATCH
            shade = 1 if token < step.protected else max(0.25, min(1.0, whole**-0.5))
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{CELL - 1}" height="{CELL - 1}" '
                f'fill="{colour}" opacity="{shade:.2f}"/>'
            )
    return "".join(parts)


def _legend(line: float) -> str:
    side = CELL + 2
    entries = (
        (140, CLASS, 1, "class token: one a frame, never merged"),
        (420, PATCH, 1, "patch"),
        (500, PATCH, 0.4, "merged patches, paler the more they are"),
    )
    return "".join(
        f'<rect x="{x}" y="{line - side}" width="{side}" height="{side}" fill="{colour}" '
        f'opacity="{shade}"/><text x="{x + side + 6}" y="{line}" fill="#777">{text}</text>'
        for x, colour, shade, text in entries
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
