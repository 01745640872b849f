"""One sheet that shows what systems merge of a video: input, then a row for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tempme.atomic import replacing
from tempme.drawing.patches import Pixels, Places, enlarged, merged_frames
from tempme.errors import BadSetting

if TYPE_CHECKING:
    from tempme.retriever.tracing import Trace

SUFFIXES = (".png",)
TILE, CELL = 168, 12  # pixels along a side: a frame at least, a patch at least
WIDEST, NARROWEST = 1300, 1000
MARGIN, GUTTER, GAP, BAND_GAP = 16, 104, 6, 14
LINE, BAR = 18, 36
INK, PALE, BAR_INK = (30, 30, 30), (110, 110, 110), (91, 141, 200)
HOW = (
    "Patches that end in one token share outline and fill (mean colour, tinted) in all frames.",
    "A patch that is still a token of its own shows its pixels.",
    "Dropped patches are dark and hatched.",
)


@dataclass(frozen=True, eq=False)
class Panel:
    """What a system makes of one video.

    places: (F, P) the token that each patch is part of after `block`; -1 where it was dropped.
    tokens: of the whole video, before the first block and after each.
    """

    name: str
    note: str
    places: Places
    tokens: tuple[int, ...]
    block: int

    @classmethod
    def of(cls, way: Trace, *, name: str, note: str, block: int | None = None) -> Panel:
        """The first video of a trace, after the last block if none is named."""
        last = len(way.tokens) - 1
        if block is not None and not 0 <= block <= last:
            raise BadSetting(f"block is {block}, but the blocks of the model are 0 to {last}")
        block = last if block is None else block
        places = way.by_frame(block)[0].cpu().numpy()
        return cls(name, note, places, (way.after_blocks[0].shape[1], *way.tokens), block)

    @property
    def num_tokens(self) -> int:
        """Tokens of the video after the block."""
        return self.tokens[1 + self.block]

    def told(self) -> str:
        """What there is to see, in numbers."""
        frame, _ = np.nonzero(self.places >= 0)
        token, size = np.unique(self.places[self.places >= 0], return_counts=True)
        held = np.unique(np.stack([self.places[self.places >= 0], frame]), axis=1)[0]
        spans = np.unique(held, return_counts=True)[1]
        parts = [f"{self.num_tokens} tokens, {len(token)} of patches"]
        if size.max(initial=0) > 1:
            most = int(size.argmax())
            parts += [
                f"{int((size > 1).sum())} hold several, {int((spans > 1).sum())} span frames",
                f"the largest holds {size[most]} patches of {_counted(int(spans[most]), 'frame')}",
            ]
        dropped = int((self.places < 0).sum())
        return "; ".join([*parts, *([f"{_counted(dropped, 'patch')} dropped"] if dropped else [])])


class _Row(NamedTuple):
    name: str
    note: str
    frames: Pixels


@dataclass(frozen=True)
class _Sheet:
    """The picture while it is drawn from top to bottom."""

    image: Image.Image
    side: int
    across: int

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        """Draws on the picture."""
        return ImageDraw.Draw(self.image)

    def write(
        self,
        place: tuple[float, float],
        text: str,
        *,
        size: int = 13,
        ink: tuple[int, int, int] = INK,
        room: float | None = None,
        anchor: str = "la",
    ) -> None:
        """One line of text, cut where there is no more room; names may hold anything."""
        text = " ".join(text.encode("utf-8", "replace").decode().splitlines())
        font = ImageFont.load_default(size=size)
        room = self.image.width - MARGIN - place[0] if room is None else room
        if font.getlength(text) > room:
            while text and font.getlength(f"{text}...") > room:
                text = text[:-1]
            text = f"{text}..."
        self.pen.text(place, text, fill=ink, font=font, anchor=anchor)


def draw(
    pixels: Pixels, panels: Sequence[Panel], *, title: str, seconds: Sequence[float]
) -> Image.Image:
    """Frames (F, S, S, 3) in bands, below each what the systems make of it; then token counts."""
    patches = panels[0].places.shape[1]
    grid = round(patches**0.5)
    side = grid * max(CELL, -(-TILE // grid))
    large = enlarged(pixels, side)
    rows = [_Row("input", f"{grid} x {grid} patches", large)]
    for panel in panels:
        note = f"{panel.num_tokens} tokens"
        rows.append(_Row(panel.name, note, merged_frames(large, panel.places)))
    sheet = _blank(len(pixels), side, rows=len(rows), panels=len(panels))
    top = _head(sheet, title, panels)
    for first in range(0, len(pixels), sheet.across):
        shown = range(first, min(first + sheet.across, len(pixels)))
        top = _band(sheet, top, rows, shown, seconds)
    for panel in panels:
        top = _counts(sheet, top, panel)
    return sheet.image


def checked(path: Path) -> Path:
    """The path, if a picture can be written under such a name; else BadSetting."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadSetting(
            f"no picture can be written as {path.name or path}: its name has to end in "
            f"{' or '.join(SUFFIXES)}"
        )
    if path.is_dir():
        raise BadSetting(f"{path} is a folder; name a file in it, such as {path / 'merged.png'}")
    return path


def save(picture: Image.Image, path: Path) -> Path:
    """Write the picture; BadSetting says why it cannot be."""
    try:
        with replacing(checked(path)) as draft:
            picture.save(draft, optimize=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadSetting(f"cannot write {path}: {path.parent} is a file, not a folder") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadSetting(f"cannot write {path}: {reason}; give a place for it elsewhere") from error
    return path


def _blank(frames: int, side: int, *, rows: int, panels: int) -> _Sheet:
    most = max(1, (WIDEST - GUTTER - 2 * MARGIN) // (side + GAP))
    bands = -(-frames // most)
    across = -(-frames // bands)
    width = max(NARROWEST, 2 * MARGIN + GUTTER + across * (side + GAP))
    band = LINE + rows * (side + GAP) + BAND_GAP
    height = 2 * MARGIN + 28 + 2 * LINE + bands * band + panels * _COUNTS_HEIGHT
    return _Sheet(Image.new("RGB", (width, height), "white"), side, across)


def _head(sheet: _Sheet, title: str, panels: Sequence[Panel]) -> int:
    """The title, and how to read the colours; returns where it ends."""
    sheet.write((MARGIN, MARGIN), title, size=18)
    any_dropped = any((panel.places < 0).any() for panel in panels)
    how = " ".join(HOW if any_dropped else HOW[:2])
    sheet.write((MARGIN, MARGIN + 28), how, ink=PALE)
    return MARGIN + 28 + 2 * LINE


def _band(
    sheet: _Sheet, top: int, rows: Sequence[_Row], shown: range, seconds: Sequence[float]
) -> int:
    """Some frames, and below each what the systems make of it."""
    step = sheet.side + GAP
    for column, frame in enumerate(shown):
        left = MARGIN + GUTTER + column * step
        told = f"frame {frame + 1}   {seconds[frame]:.1f} s"
        sheet.write((left, top), told, size=12, ink=PALE, room=sheet.side)
        for number, row in enumerate(rows):
            place = (left, top + LINE + number * step)
            sheet.image.paste(Image.fromarray(row.frames[frame]), place)
    for number, row in enumerate(rows):
        middle = top + LINE + number * step + sheet.side // 2
        sheet.write((MARGIN, middle - 18), row.name, size=15, room=GUTTER - 8)
        sheet.write((MARGIN, middle + 2), row.note, size=12, ink=PALE, room=GUTTER - 8)
    return top + LINE + len(rows) * step + BAND_GAP


def _counted(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


_COUNTS_HEIGHT = 2 * LINE + BAR + LINE + 12


def _counts(sheet: _Sheet, top: int, panel: Panel) -> int:
    """The tokens of the video after every block, as a chart."""
    sheet.write((MARGIN, top), f"{panel.name} ({panel.note}): {panel.told()}")
    step = (sheet.image.width - 2 * MARGIN - GUTTER) / len(panel.tokens)
    foot = top + 2 * LINE + BAR
    sheet.write((MARGIN, foot - LINE), "tokens after", size=12, ink=PALE)
    for number, tokens in enumerate(panel.tokens):
        left = MARGIN + GUTTER + number * step
        high = foot - max(1, round(BAR * tokens / max(panel.tokens)))
        drawn = number == 1 + panel.block
        middle = left + step / 2 - 1
        sheet.pen.rectangle((left, high, left + step - 3, foot), fill=INK if drawn else BAR_INK)
        sheet.write((middle, high - 3), str(tokens), size=12, anchor="ms", room=step)
        name = "input" if number == 0 else f"block {number - 1}" if step > 50 else str(number - 1)
        ink = INK if drawn else PALE
        sheet.write((middle, foot + 3), name, size=11, ink=ink, anchor="ma", room=step)
    return top + _COUNTS_HEIGHT
