"""An index, in any store, made of shards or brought in line with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tempme.errors import BadSetting
from tempme.index.far import begin_far, local_store, open_far
from tempme.index.folder import make_folder
from tempme.index.header import NAME as HEADER
from tempme.index.index import Index
from tempme.index.shards.loading import Loaded, load
from tempme.index.shards.opening import open_shards
from tempme.index.shards.recipe import recipe_of
from tempme.index.shards.shards import Shards
from tempme.index.side_files import side_files_of
from tempme.index.stores.places import Place
from tempme.index.upkeep import in_order
from tempme.uris import is_remote, uri_of


def fill(
    shards_uri: str,
    index_uri: str | Path,
    *,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[str, Loaded]:
    """The name of the index, and what was loaded into it; begun where there is none.

    BadSetting for an index of another model or cutting, or one that was made in another way.
    """
    shards = open_shards(shards_uri)
    index = _index_for(shards, index_uri)
    if recipe_of(index.header) != shards.recipe:
        raise BadSetting(
            f"the index {index.name} is of another model or cutting than the shards "
            f"{shards.place.uri}: load them into another index"
        )
    far = is_remote(index.name)
    store = open_far(index.name).store if far else local_store(index.path, index.header)
    with in_order(index.path, store, lambda: index.header.fingerprint):
        loaded = load(shards, store, on_progress=on_progress)
    index.settle()
    return index.name, loaded


def _index_for(shards: Shards, given: str | Path) -> Index:
    """The index; where there is none, one with the header and the model of the shards."""
    if is_remote(given):
        begin_far(uri_of(given), shards.place, stays=True)
        return Index.open(given)
    folder = Path(Place.of(given).uri)
    if not os.path.lexists(folder / HEADER):
        make_folder(folder)
        side_files_of(shards.place, into=folder)
    return Index.open(folder)
