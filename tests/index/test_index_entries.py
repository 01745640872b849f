"""Every entry of an index may be something else: nothing hangs, and what can be mended is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from index_material import ColourRetriever
from tempme.errors import BadIndex
from tempme.index import Index
from tempme.index.stores.panics import panics_unsaid
from tempme.index.stores.tables import FOLDERS, TABLES

QUERY = "red green yellow"
PARTS = [f"{table}.lance" for table in TABLES]
INSIDE = [f"{part}/{folder}" for part in PARTS for folder in FOLDERS]


def again(index: Index) -> Index:
    return Index.open(index.path, retriever=ColourRetriever())


def shown(index: Index) -> list[dict[str, Any]]:
    return [hit.as_dict() for hit in index.search(QUERY)]


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def bind(path: Path) -> None:
    """A socket, by a name that is short enough for one."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [*PARTS, INSIDE[-1], *(pytest.param(part, marks=pytest.mark.slow) for part in INSIDE[:-1])],
)
@pytest.mark.parametrize("has_snapshot", [True, False])
def test_a_file_in_the_place_of_a_folder_of_a_table(
    index: Index, films: Path, part: str, has_snapshot: bool
) -> None:
    before = shown(index)
    if not has_snapshot:
        (index.path / "scan.npz").unlink()
    remove(index.path / part)
    (index.path / part).write_bytes(b"x" * 2000)
    hurt = again(index)
    assert hurt.check().unreadable == {part.split(".")[0]: "is not a folder"}
    said = rf"{part}: is not a folder; `tempme check --index .* --repair` mends what can be mended"
    for action in (hurt.videos, hurt.status, lambda: hurt.add(films, workers=1)):
        with pytest.raises(BadIndex, match=said):
            action()
    hurt.repair(workers=1)
    hurt.add(films, workers=1)
    assert shown(again(index)) == before
    assert not again(index).check()


STRANGE: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "link": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "socket": bind,
}
ENTRIES = ["index.json", "lock", "scan.npz", "confidence.npz", "model", *PARTS, *INSIDE]


@pytest.mark.parametrize("kind", STRANGE)
def test_what_no_index_has_is_refused(index: Index, films: Path, kind: str) -> None:
    for entry in ENTRIES:
        kept = index.path.with_name("kept")
        if os.path.lexists(index.path / entry):
            (index.path / entry).rename(kept)
        STRANGE[kind](index.path / entry)
        for action in (lambda: again(index), lambda: index.add(films, workers=1)):
            with pytest.raises(BadIndex) as caught:
                action()
            assert "\n" not in str(caught.value)
        (index.path / entry).unlink()
        if os.path.lexists(kept):
            kept.rename(index.path / entry)
    assert not again(index).check()


@pytest.mark.parametrize("name", ["scan.npz", "confidence.npz"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_folder_in_the_place_of_a_copy_is_passed_over(
    index: Index, films: Path, name: str, is_empty: bool
) -> None:
    before = shown(index)
    remove(index.path / name)
    (index.path / name).mkdir()
    if not is_empty:
        (index.path / name / "mine.txt").write_text("mine")
    assert shown(again(index)) == before
    again(index).add(films, workers=1)
    assert not again(index).check()
    again(index).repair(workers=1)
    assert again(index).forget(films / "red.mp4") == (films / "red.mp4",)
    assert len(again(index).search(QUERY)) == 2
    assert is_empty or (index.path / name / "mine.txt").exists()


@pytest.mark.parametrize("name", ["lock", "index.json"])
def test_a_folder_in_the_place_of_a_file_is_said(index: Index, films: Path, name: str) -> None:
    remove(index.path / name)
    (index.path / name).mkdir()
    with pytest.raises(BadIndex, match=rf"{name}\W+is (a directory; remove it|not an ordinary)"):
        again(index).add(films, workers=1)


@pytest.mark.slow
def test_a_panic_of_the_store_is_not_printed(index: Index, capfd: Any) -> None:
    (index.path / "scan.npz").unlink()
    path = max((index.path / "moments.lance" / "data").glob("*.lance"))
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 11):
        content = bytearray(whole)
        content[place] ^= 0x10
        path.write_bytes(content)
        try:
            again(index).search(QUERY)
        except BadIndex:
            refused += 1
    assert refused
    assert capfd.readouterr().err == ""


def test_what_else_is_written_meanwhile_is_passed_on(capfd: Any) -> None:
    with panics_unsaid(), panics_unsaid():
        os.write(2, b"a disk is slow\n")
    assert capfd.readouterr().err == "a disk is slow\n"
    with panics_unsaid():
        os.write(
            2, b"\nthread 'x' (7) panicked at y.rs:1:1:\nboo\nnote: run with `RUST_BACKTRACE`\n"
        )
    os.write(2, b"and this\n")
    assert capfd.readouterr().err == "and this\n"


def test_a_closed_stderr_is_no_reason_to_fail(index: Index) -> None:
    (index.path / "scan.npz").unlink()
    real = os.dup(2)
    os.close(2)
    try:
        found = again(index).search(QUERY)
    finally:
        os.dup2(real, 2)
        os.close(real)
    assert len(found) == 3


@pytest.mark.slow
def test_the_store_is_loaded_before_stderr_is_set_aside() -> None:
    """Ctrl-C while modules load is answered there at once, and the process ends."""
    code = """
import os, sys
from tempme.index.stores.panics import panics_unsaid
with panics_unsaid():
    before = set(sys.modules)
    import lancedb
    assert set(sys.modules) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
