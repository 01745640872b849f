"""Frames drawn by their tokens: hand-made cases with the answers written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tempme.drawing.figure import Panel, checked, draw, save
from tempme.drawing.patches import EDGE, TINT, enlarged, hues, merged_frames
from tempme.errors import BadSetting

CELL = 12


def frames(*colours: list[tuple[int, int, int]]) -> np.ndarray:
    """Frames of 2 x 2 patches, each of one colour."""
    flat = np.array(colours, dtype=np.uint8).reshape(len(colours), 2, 2, 3)
    return flat.repeat(CELL, axis=1).repeat(CELL, axis=2)


def patch(frame: np.ndarray, number: int) -> np.ndarray:
    row, column = divmod(number, 2)
    return frame[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]


RED, BLUE, GREEN, WHITE = (200, 0, 0), (0, 0, 200), (0, 200, 0), (250, 250, 250)
PLACES = np.array([[0, 1, 1, 2], [1, 0, 3, -1]])
PIXELS = frames([RED, BLUE, BLUE, GREEN], [WHITE, BLUE, RED, WHITE])


def test_patches_of_a_token_have_one_fill_and_one_outline_in_all_frames() -> None:
    drawn = merged_frames(PIXELS, PLACES)
    assert drawn.shape == PIXELS.shape
    looks: dict[int, set[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
    for frame, tokens in zip(drawn, PLACES, strict=True):
        for number, token in enumerate(tokens):
            shown = patch(frame, number)
            corner, middle = tuple(shown[0, 0].tolist()), tuple(shown[6, 6].tolist())
            looks.setdefault(int(token), set()).add((corner, middle))
    assert [len(looks[token]) for token in (0, 1)] == [1, 1]
    ((rim_0, fill_0),), ((rim_1, fill_1),) = looks[0], looks[1]
    for fill, mean, rim in ((fill_0, (100, 0, 100), rim_0), (fill_1, (83.3, 83.3, 216.7), rim_1)):
        tinted = (1 - TINT) * np.array(mean) + TINT * np.array(rim)
        assert np.abs(tinted - fill).max() < 1
    assert len({rim_0, rim_1, EDGE, fill_0, fill_1}) == 5


def test_what_is_alone_keeps_its_pixels_and_what_is_dropped_is_dark() -> None:
    drawn = merged_frames(PIXELS, PLACES)
    for frame, number, colour in ((0, 3, GREEN), (1, 2, RED)):
        shown = patch(drawn[frame], number)
        assert (shown[1:-1, 1:-1] == colour).all()
        assert (shown[0] == EDGE).all()
    dropped = patch(drawn[1], 3)
    assert set(map(tuple, dropped.reshape(-1, 3).tolist())) == {(50, 50, 50), (95, 95, 95)}


def test_there_is_no_line_between_patches_of_one_token() -> None:
    everything = np.zeros((2, 4), dtype=np.int64)
    (shown, _) = merged_frames(PIXELS, everything)
    assert len(np.unique(shown[2:-2, 2:-2].reshape(-1, 3), axis=0)) == 1
    rim = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]])
    assert len(np.unique(rim, axis=0)) == 1
    halves = merged_frames(PIXELS, np.array([[0, 1, 0, 1]] * 2))[0]
    outlines = {tuple(halves[12, column].tolist()) for column in (CELL - 1, CELL)}
    assert len(outlines) == 2  # each side has its own


def test_every_token_may_be_dropped() -> None:
    drawn = merged_frames(PIXELS, np.full((2, 4), -1))
    assert drawn.max() <= 95


def test_hues_are_all_different() -> None:
    assert len({tuple(colour) for colour in hues(400).tolist()}) > 390
    assert hues(0).shape == (0, 3)
    near = hues(100).astype(int)
    apart = [np.abs(near[later:] - near[:-later]).sum(axis=1).min() for later in range(1, 25)]
    assert min(apart) >= 75


@pytest.mark.parametrize(("num_frames", "grid"), [(1, 6), (12, 7), (12, 14), (7, 16), (30, 6)])
def test_sheets_of_all_sizes(num_frames: int, grid: int) -> None:
    pixels = np.zeros((num_frames, 2 * grid, 2 * grid, 3), dtype=np.uint8)
    alone = np.arange(num_frames * grid * grid).reshape(num_frames, -1)
    tokens = (num_frames * (grid**2 + 1),) * 13
    panels = [Panel("lora", "not trained", alone, tokens, 11)] * 2
    sheet = draw(pixels, panels, title="A title \udcff\n" * 40, seconds=range(num_frames))
    assert sheet.width <= 1400
    columns = np.asarray(sheet.convert("L")).min(axis=0)
    assert columns[-10:].min() == 255  # nothing runs out of the sheet
    black = (np.asarray(enlarged(pixels, 12)) == 0).all()
    assert black


def test_a_panel_tells_its_numbers() -> None:
    panel = Panel("tempme", "trained", PLACES, (10, 8, 6), 1)
    assert panel.told() == (
        "6 tokens, 4 of patches; 2 hold several, 2 span frames; "
        "the largest holds 3 patches of 2 frames; 1 patch dropped"
    )


@pytest.mark.parametrize("name", ["merged.svg", "merged", "merged.jpg", ".png"])
def test_other_names_of_pictures_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSetting, match=r"has to end in \.png"):
        checked(tmp_path / name)


def test_a_place_that_takes_no_picture_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "merged.png", Path("/proc/merged.png")):
        with pytest.raises(BadSetting, match="cannot write"):
            save(Image.new("RGB", (2, 2)), path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadSetting, match="is a folder"):
        save(Image.new("RGB", (2, 2)), tmp_path / "folder.png")
    assert save(Image.new("RGB", (2, 2)), tmp_path / "new" / "merged.PNG").exists()
