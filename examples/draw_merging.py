"""Draw assets/merging.svg from a schedule: frames become clips, and tokens fade as they merge.

python examples/draw_merging.py assets/merging.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from tempme.schedule import Step, default_joins, schedule

WIDTH, ROW, PAD = 860, 46, 10
CELL = 5  # side of a token, with its gap
SHOWN = (0, 4, 7, 8, 9, 10, 11)


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
    height = len(SHOWN) * ROW + 2 * PAD
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        + "\n".join(rows)
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
            colour = "#c0392b" if token < step.protected else "#2c6fbb"
            shade = 1 if token < step.protected else max(0.25, min(1.0, whole**-0.5))
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="4" height="4" fill="{colour}" '
                f'opacity="{shade:.2f}"/>'
            )
    return "".join(parts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
