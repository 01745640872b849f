"""The bar that verbs share: seen in a terminal, silent in a log."""

from __future__ import annotations

import pytest

from tempme.cli.progress import counting


@pytest.mark.parametrize("is_live", [True, False])
def test_what_is_counted_is_shown_to_whoever_watches(
    is_live: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if is_live else "0")
    with counting("films [/b]") as count:
        count(1, 4)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("films [/b]" in shown.err and "25%" in shown.err) == is_live
    assert is_live or not shown.err.strip()
