"""What several files of tests begin with, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from index_material import Renewed, index_films, opened
from lists_material import COUNT, filled, store_in
from tempme.index import Index
from tempme.index.stores.lance import LanceStore


@pytest.fixture(scope="session")
def _films_and_index(tmp_path_factory: pytest.TempPathFactory) -> Renewed:
    return Renewed(tmp_path_factory.mktemp("indexed") / "again", index_films)


@pytest.fixture
def films(_films_and_index: Renewed) -> Path:
    """Films that `index` knows, for a test to do with as it likes."""
    return _films_and_index.again() / "films"


@pytest.fixture
def index(films: Path) -> Index:
    """The index of `films`, of the test's own."""
    return opened(films.parent)


@pytest.fixture(scope="session")
def sound_lists(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    """Not to be written to."""
    return filled(tmp_path_factory.mktemp("sound") / "a.tempme", COUNT)


@pytest.fixture
def listed(sound_lists: LanceStore, tmp_path: Path) -> LanceStore:
    """A store with search lists, of the test's own."""
    shutil.copytree(sound_lists.folder, tmp_path / "b.tempme")
    return store_in(tmp_path / "b.tempme")
