"""The pieces of search lists by themselves: the tree that divides rows, and the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lists_material import moments_of
from tempme.index.lists.catalog import catalog_of
from tempme.index.lists.tree import CELLS_LOOKED_AT, grow
from tempme.index.moments import Video


def test_a_row_goes_to_the_nearest_list_of_the_cells_looked_at() -> None:
    rows = np.concatenate([moments_of(number).features for number in range(150)])
    tree = grow(rows, 60)
    assert len(tree.cells) > CELLS_LOOKED_AT > 1
    wide = rows.astype(np.float32)
    cells = np.searchsorted(tree.first, np.arange(len(tree.centres)), side="right") - 1
    near = np.argsort(-(wide @ tree.cells.T), axis=1)[:, :CELLS_LOOKED_AT]
    looked_at = (cells[None, None] == near[:, :, None]).any(axis=1)
    scores = wide @ tree.centres.T
    best = np.where(looked_at, scores, -np.inf).max(axis=1)
    found = scores[np.arange(len(rows)), tree.assign(rows)]
    np.testing.assert_allclose(found, best, atol=1e-5)


def test_below_a_folder_is_nothing_that_is_only_named_like_it() -> None:
    folder = Path("/films/a")
    inside = [folder, folder / "1.mp4", folder / "deep" / "2.mp4"]
    beside = [Path(f"/films/{name}") for name in ("a b.mp4", "a-", "aA.mp4", "aa", "b", "A")]
    rows = [
        Video(path, f"{number:032x}", 1, 1, num_moments=1)
        for number, path in enumerate([*inside, *beside, Path("/films")])
    ]
    catalog = catalog_of(rows, None, np.zeros(0, np.int64))
    assert sorted(catalog.under(folder)) == sorted(catalog.named(inside))
    assert sorted(catalog.under(Path("/films"))) == list(range(len(rows)))
    assert len(catalog.under(Path("/"))) == len(rows)
    assert len(catalog.under(Path("/film"))) == 0
