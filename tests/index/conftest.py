"""What several files of tests begin with, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lists_material import COUNT, filled, store_in
from tempme.index.stores.lance import LanceStore


@pytest.fixture(scope="session")
def sound_lists(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    """Not to be written to."""
    return filled(tmp_path_factory.mktemp("sound") / "a.tempme", COUNT)


@pytest.fixture
def listed(sound_lists: LanceStore, tmp_path: Path) -> LanceStore:
    """A store with search lists, of the test's own."""
    shutil.copytree(sound_lists.folder, tmp_path / "b.tempme")
    return store_in(tmp_path / "b.tempme")
