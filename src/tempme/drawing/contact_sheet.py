"""Contact sheets: rows of frames, a line of text above each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tempme.atomic import replacing
from tempme.errors import BadSetting

MARGIN, LINE = 8, 18  # pixels


@dataclass(frozen=True)
class SheetRow:
    """Frames (F, H, W, 3) uint8, side by side, and what is written above them."""

    title: str
    frames: npt.NDArray[np.uint8]


def contact_sheet(rows: Sequence[SheetRow], path: Path) -> Path:
    """Draw the rows one below the other into a PNG; returns its path."""
    if not rows:
        raise BadSetting("a contact sheet needs at least one row")
    font = ImageFont.load_default(size=13)
    width = max(row.frames.shape[0] * row.frames.shape[2] for row in rows) + 2 * MARGIN
    height = sum(row.frames.shape[1] + LINE + MARGIN for row in rows) + MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    top = MARGIN
    for row in rows:
        pen.text((MARGIN, top), row.title, fill="black", font=font)
        top += LINE
        sheet.paste(Image.fromarray(np.concatenate(list(row.frames), axis=1)), (MARGIN, top))
        top += row.frames.shape[1] + MARGIN
    with replacing(path) as draft:
        sheet.save(draft)
    return path
