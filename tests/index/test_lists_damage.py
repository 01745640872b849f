"""Search lists that are damaged, cut short or a stranger's: passed over, never believed."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from lists_material import (
    COUNT,
    WIDTH,
    check_answers,
    filled,
    part_of,
    put,
    searcher,
    store_in,
    view_of_store,
)
from tempme.index.lists.array_file import Unusable
from tempme.index.lists.lists import Lists
from tempme.index.lists.opened import CATALOG, FOLDER, open_lists
from tempme.index.stores.lance import LanceStore


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", ["catalog", "part"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.97, 0.995, 1.0])
def test_a_bit_that_changed(
    listed: LanceStore, name: str, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    path = listed.folder / FOLDER / CATALOG if name == "catalog" else part_of(listed)
    flip(path, min(int(share * path.stat().st_size), path.stat().st_size - 1))
    with caplog.at_level(logging.WARNING, "tempme"):
        check_answers(listed, searcher(listed))
    if caplog.messages:  # a look came upon it
        (message,) = caplog.messages
        assert {record.name for record in caplog.records} == {"tempme"}  # which people hear
        assert "damaged search lists" in message
        assert "removed" in message
        assert not (listed.folder / FOLDER).exists()
        listed.tidy()
        assert view_of_store(listed).num_moments == listed.num_moments()
    else:
        assert name == "part"
        assert share < 1.0


@pytest.mark.parametrize("name", ["catalog", "part"])
@pytest.mark.parametrize("size", [0, 10, 40, 5000, -1])
def test_a_file_that_was_cut_short(listed: LanceStore, name: str, size: int) -> None:
    path = listed.folder / FOLDER / CATALOG if name == "catalog" else part_of(listed)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(Unusable):
        open_lists(listed.folder, width=WIDTH)
    check_answers(listed, searcher(listed))
    assert not (listed.folder / FOLDER).exists()


def test_a_file_that_shrinks_while_it_is_read(listed: LanceStore) -> None:
    found = searcher(listed)
    assert found.num_moments() == listed.num_moments()
    with part_of(listed).open("rb+") as file:
        file.truncate(1000)
    check_answers(listed, found)


def test_a_part_that_is_gone(listed: LanceStore) -> None:
    part_of(listed).unlink()
    check_answers(listed, searcher(listed))
    listed.tidy()
    assert view_of_store(listed).num_moments == listed.num_moments()


def test_a_part_of_another_index(listed: LanceStore, tmp_path: Path) -> None:
    other = filled(tmp_path / "c.tempme", COUNT)
    part_of(listed).write_bytes(part_of(other).read_bytes())
    with pytest.raises(Unusable, match="another part"):
        open_lists(listed.folder, width=WIDTH)
    check_answers(listed, searcher(listed))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_lists_in_a_folder_that_is_read_only(
    listed: LanceStore, caplog: pytest.LogCaptureFixture
) -> None:
    was, closed = os.geteuid(), (listed.folder, listed.folder / FOLDER)
    for folder in listed.folder.parents:
        if was == 0 and folder.name.startswith(("pytest", "popen", "test")):
            folder.chmod(0o755)  # so that another user gets there
    for folder in closed:
        folder.chmod(0o555)
    try:
        if was == 0:  # nothing is closed to root
            os.seteuid(65534)
        check_answers(listed, searcher(listed))
        assert not caplog.messages
        os.seteuid(was)
        (listed.folder / FOLDER).chmod(0o755)
        flip(listed.folder / FOLDER / CATALOG, 100)
        (listed.folder / FOLDER).chmod(0o555)
        if was == 0:
            os.seteuid(65534)
        found = searcher(listed)
        with caplog.at_level(logging.WARNING, "tempme"):
            check_answers(listed, found)
            check_answers(listed, found)
    finally:
        os.seteuid(was)
        for folder in closed:
            folder.chmod(0o755)
    (message,) = caplog.messages  # said once
    assert "passed over" in message


@pytest.mark.slow
def test_an_index_of_an_earlier_version_is_searched_by_its_own(tmp_path: Path) -> None:
    """Lists are made by the next run that writes; until then LanceDB's index answers."""
    from lancedb.index import IvfFlat

    store = store_in(tmp_path / "a.tempme", index_from=10**9)
    put(store, range(COUNT))
    store._tables.open("moments").create_index("feature", config=IvfFlat(distance_type="dot"))
    assert store.is_large()
    found = searcher(store)
    assert found.num_moments() == store.num_moments()
    check_answers(store, found)
    store.index_from = 1000
    store.tidy()
    assert (store.folder / FOLDER / CATALOG).is_file()
    indices = store.folder / "moments.lance" / "_indices"
    assert not indices.exists() or not any(indices.iterdir())
    check_answers(store, found)


def test_without_lists_a_view_is_none(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme")
    assert Lists(store.folder, store, width=WIDTH).view() is None
