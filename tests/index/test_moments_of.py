"""The moments of contents by id: the same of several together as of each alone, however kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lists_material import filled, moments_of, put, searcher, store_in
from tempme.index.moments import Gallery

WANTED = (5, 399, 5, 41, 0, 6)
MISSING = f"{10**6:032x}"


def check_same(one: Gallery, other: Gallery) -> None:
    assert one.contents == other.contents
    assert list(one.paths) == list(other.paths)
    for name in ("owner", "spans", "features"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kept", ["whole", "lists", "lists and more"])
def test_several_are_each_of_them(tmp_path: Path, kept: str) -> None:
    if kept == "whole":
        store = store_in(tmp_path, index_from=10**9)
        put(store, range(400))
    else:
        store = filled(tmp_path, 300 if kept == "lists and more" else 400)
        put(store, range(300, 400 if kept == "lists and more" else 300))
    search = searcher(store)
    names = [f"{number:032x}" for number in WANTED]
    found = search.moments_of([*names, MISSING])
    assert found.contents == tuple(sorted(set(names)))
    for number, name in zip(WANTED, names, strict=True):
        alone = search.moments_of([name])
        expected = moments_of(number)
        np.testing.assert_array_equal(alone.spans, expected.spans)
        np.testing.assert_array_equal(alone.features, expected.features)
        assert len(alone.paths[0]) == 1 + (number % 5 == 0)
        check_same(found.of(name), alone)
    for nothing in (search.moments_of([MISSING]), search.moments_of([]), found.of(MISSING)):
        assert len(nothing) == len(nothing.contents) == len(nothing.paths) == 0
        assert nothing.features.shape[1] == found.features.shape[1]
