"""The pages of verbs and of names are those that the program says."""

from __future__ import annotations

from pathlib import Path

import pytest

import tempme
from documents.__main__ import PAGES
from tempme.cli.verbs import VERBS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_up_to_date(page: Path) -> None:
    assert (ROOT / page).read_text("utf-8") == PAGES[page](), f"{page} is stale: run `make docs`"


def test_every_verb_and_name_has_its_place() -> None:
    cli, python = ((ROOT / "docs" / page).read_text("utf-8") for page in ("cli.md", "python.md"))
    assert [verb for verb in VERBS if f"## tempme {verb}" not in cli] == []
    assert [name for name in tempme.__all__ if f"## `tempme.{name}`" not in python] == []
