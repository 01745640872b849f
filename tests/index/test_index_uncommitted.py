"""What killed runs and full disks leave of writes that were never committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lists_material import moments_of, put, store_in, video_of
from tempme.index.stores.lance import LanceStore

NEVER = 10**9


def check_holds(store: LanceStore, numbers: range) -> None:
    fresh = store_in(store.folder, index_from=NEVER)
    (store.folder / "scan.npz").unlink()
    assert not fresh.check()
    assert fresh.gallery().contents == tuple(f"{number:032x}" for number in numbers)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_deletion_that_was_never_committed_takes_no_other_with_it(
    tmp_path: Path, goes_on: bool
) -> None:
    """A killed run, and a full disk, leave the file of one, later by name than what holds."""
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    put(store, range(60))
    if goes_on:
        store.forget([video_of(n, moments_of(n), copy=c).path for n in range(3) for c in (0, 1)])
        store.sweep()
    store.tidy()
    for name in ("videos", "moments"):
        folder = store.folder / f"{name}.lance" / "_deletions"
        assert len(list(folder.glob("*"))) == goes_on
        folder.mkdir(exist_ok=True)
        for number in (1, 2**64 - 1):
            (folder / f"0-999-{number}.arrow").write_bytes(b"ARROW1 half of it")
        (folder / "0-1 copy.arrow").write_bytes(b"by whom?")
    later = store_in(store.folder, index_from=NEVER)
    put(later, [60])
    later.tidy()
    check_holds(later, range(3 if goes_on else 0, 61))


def test_what_was_never_committed_goes_once_it_is_old(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a.tempme", index_from=NEVER)
    put(store, range(20))
    store.tidy()
    data = store.folder / "moments.lance" / "data"
    for name, days in (("old", 2), ("new", 0)):
        (data / f"{name}.lance").write_bytes(b"half of a fragment")
        then = (data / f"{name}.lance").stat().st_mtime - days * 24 * 3600
        os.utime(data / f"{name}.lance", (then, then))
    put(store, [20])
    store.tidy()
    assert not (data / "old.lance").exists()
    assert (data / "new.lance").exists()
    check_holds(store, range(21))
