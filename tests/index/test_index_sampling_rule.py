"""The rule of sampling "auto" is the index's own: one of before keeps the rule it was made by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index_material import ColourRetriever
from tempme.index import Index
from tempme.index.header import Cutting, Header, read_header
from tempme.index.shards.recipe import recipe_of

OLD = Path(__file__).parent.parent / "old" / "by-name"


def header_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "index.json").read_text("utf-8"))
    return found


def written(folder: Path) -> dict[str, Any]:
    cutting: dict[str, Any] = header_of(folder)["cutting"]
    return cutting


def test_an_index_of_before_keeps_the_rule_it_was_made_by(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    header = Index.open(folder, sampling="auto").header
    assert header.cutting.sampling_rule == 1
    assert header.cutting.reading().sampling_rule == 1
    header.write(folder)  # as a run of today does
    assert header_of(folder)["format"] == 2
    assert "sampling_rule" not in written(folder)  # earlier versions refuse a key that they lack
    assert read_header(folder).cutting.sampling_rule == 1


@pytest.mark.parametrize(
    ("sampling", "is_told"), [("auto", True), ("fast", True), ("exact", False)]
)
def test_a_new_index_says_its_rule_where_there_is_one(
    tmp_path: Path, sampling: str, is_told: bool
) -> None:
    Index.create(tmp_path / "new", ColourRetriever(), sampling=sampling)  # type: ignore[arg-type]
    assert ("sampling_rule" in written(tmp_path / "new")) == is_told
    # Earlier versions read formats up to 2; of later ones they say that they are to be upgraded.
    assert header_of(tmp_path / "new")["format"] == (3 if is_told else 2)
    opened = Index.open(tmp_path / "new", retriever=ColourRetriever())
    assert opened.header.cutting.sampling_rule == 2


def test_shards_of_before_keep_their_name_and_new_ones_have_another() -> None:
    def named(sampling: str, rule: int) -> str:
        cutting = Cutting(sampling=sampling, sampling_rule=rule)  # type: ignore[arg-type]
        return recipe_of(replace(known, cutting=cutting))

    known = Header("scenes-tiny", "tempme-0", 12, 128, Cutting())
    assert named("auto", 1) == "46c6868e946926fa"  # of the version that knew one rule
    assert named("auto", 2) != named("auto", 1)
    assert named("exact", 1) == named("exact", 2)
