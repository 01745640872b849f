"""Shards as a person names them: a place with those of one or of several recipes in it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempme.errors import BadIndex, BadSetting
from tempme.index.header import NAME as HEADER
from tempme.index.header import read_header
from tempme.index.index import Index
from tempme.index.shards.recipe import recipe_of
from tempme.index.shards.shards import Shards
from tempme.index.side_files import has_side_files, header_of, put_side_files, side_files_of
from tempme.index.stores.places import Place


def open_shards(given: str | Path) -> Shards:
    """The shards in a place; BadIndex if there are none, BadSetting if those of several models."""
    place = Place.of(given)
    if has_side_files(place):
        return _checked(place)
    recipes = _recipes(place)
    if not recipes:
        raise BadIndex(
            f"no shards in {place.uri}: make some with `tempme index PATH --shards {place.uri}`"
        )
    if len(recipes) > 1:
        raise BadSetting(
            f"{place.uri} has the shards of several models or cuttings: give one of them, "
            f"{', '.join(f'{place.uri}/{name}' for name in recipes)}"
        )
    return _checked(place.at(recipes[0]))


def shards_for(given: str | Path, model: str | None, cutting: Mapping[str, Any]) -> Shards:
    """The shards in a place that `model` makes, cut as `cutting` says; begun if there are none.

    Without a model those that are there, or else of the published CLIP.
    """
    place = Place.of(given)
    recipes = _recipes(place)
    if model is None and len(recipes) == 1:
        shards = _checked(place.at(recipes[0]))
        shards.header.cutting.check_same(cutting, Path(shards.place.uri))
        return shards
    with tempfile.TemporaryDirectory(prefix="tempme-") as scratch:
        folder = Path(scratch) / "new.tempme"
        Index.open(folder, retriever=model, create=True, **cutting)
        name = recipe_of(read_header(folder))
        if name not in recipes:
            put_side_files(folder, place.at(name))
    return _checked(place.at(name))


def index_of(shards: Shards) -> Index:
    """The model of the shards, as an index without rows."""
    folder = side_files_of(shards.place)
    return Index(folder, read_header(folder))


def _recipes(place: Place) -> list[str]:
    return [name for name in place.folders() if has_side_files(place.at(name))]


def _checked(place: Place) -> Shards:
    """The shards of a recipe; BadIndex if the header is that of another one."""
    shards = Shards(place, header_of(place))
    if place.uri.rpartition("/")[2] != shards.recipe:
        raise BadIndex(
            f"{place.uri} has the {HEADER} of other shards ({shards.recipe}): put the right one "
            "back, or make the shards again in another place"
        )
    return shards
