"""Runs into shards by the model that knows colours."""

from __future__ import annotations

import shutil
from pathlib import Path

from index_material import ColourRetriever
from tempme.index import Index
from tempme.index.building.order import RunOrder
from tempme.index.building.report import Report
from tempme.index.shards.loading import load
from tempme.index.shards.local import locally
from tempme.index.shards.recipe import recipe_of
from tempme.index.shards.run import Run
from tempme.index.shards.shards import Shards
from tempme.index.side_files import put_side_files
from tempme.index.stores.places import Place


def shards_in(folder: Path, **cutting: object) -> Shards:
    """Shards of the model that knows colours, begun in a folder."""
    made = folder.parent / "begun.tempme"
    shutil.rmtree(made, ignore_errors=True)
    header = Index.create(made, ColourRetriever(), source="colours", **cutting).header  # type: ignore[arg-type]
    place = Place.of(folder).at(recipe_of(header))
    put_side_files(made, place)
    return Shards(place, header)


def run(shards: Shards, *paths: Path, **order: object) -> Report:
    asked = RunOrder(paths, workers=2, **order)  # type: ignore[arg-type]
    return Run(shards, asked).run(locally(shards, ColourRetriever, asked))


def counts(report: Report) -> dict[str, int]:
    return {kind: number for kind, number in vars(report.videos).items() if number}


def loaded(shards: Shards, folder: Path) -> Index:
    """An index made of shards."""
    header = shards.header
    index = Index.create(folder, ColourRetriever(), source="colours")
    assert recipe_of(index.header) == recipe_of(header)
    load(shards, index._store)
    return index
