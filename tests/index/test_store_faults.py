"""What stores make of errors while they write, and of numbers that no moments have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tempme.errors import BadIndex
from tempme.index import Index
from tempme.index.moments import Moments
from tempme.index.stores.damage import is_possible
from tempme.index.stores.failures import writing


def fail_to_write(folder: Path) -> str:
    with pytest.raises(BadIndex) as caught, writing(folder):
        raise OSError("lance error: LanceError(IO): the disk is full, /src/io.rs:7")
    return str(caught.value)


def test_what_cannot_be_written_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for temporary in ("", str(tmp_path)):
        monkeypatch.setenv("TMPDIR", temporary)
        said = fail_to_write(tmp_path)
        assert said.startswith(f"cannot write to the index {tmp_path}: the disk is full; ")
        assert "make room or writable" in said
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    said = fail_to_write(tmp_path)
    assert f"TMPDIR={tmp_path / 'gone'}, is not there" in said
    assert "make it or unset TMPDIR" in said
    assert "disk is full" not in said


def test_a_table_that_another_process_made_meanwhile_is_opened(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = index._store._tables
    rows = tables.open("videos").count_rows()
    monkeypatch.setattr(type(tables), "exists", lambda *_: False)  # as it was a moment before
    assert tables.open("videos").count_rows() == rows == 4


def test_moments_that_cannot_be_are_known() -> None:
    features = np.eye(2, 4, dtype=np.float16)
    spans = np.array([[0.0, 2.0], [2.0, 2.0]])
    assert is_possible(Moments("a", spans, features))
    for number, wrong in ((0, -1.0), (1, 1.0), (1, np.inf), (1, np.nan), (0, 3.0)):
        other = spans.copy()
        other[1 if number else 0, number] = wrong
        assert not is_possible(Moments("a", other, features)), other
    for length in (0.0, 0.4, 1.6, np.nan, np.inf):
        other = features.copy()
        other[1, 1] = length
        assert not is_possible(Moments("a", spans, other)), length
